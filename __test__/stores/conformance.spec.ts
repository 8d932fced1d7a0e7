import { test } from '@japa/runner'
import { MemoryStore } from 'loquet/drivers/memory'
import { registerStoreTestSuite } from 'loquet/test_suite'

registerStoreTestSuite({ test, createStore: () => new MemoryStore() })
