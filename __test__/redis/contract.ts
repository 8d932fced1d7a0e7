/**
 * The rules of the contract, as they are tested with every store, on Redis.
 */
import { test } from '@japa/runner'
import { registerStoreTestSuite as registerPeerSuite } from '@verrou/core/test_suite'
import { LockFactory } from 'loquet'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { LockStore } from 'loquet/types'

import { runCollected } from '../stores/collected_suite.js'
import { collectSections } from '../unit/stores_under_test.js'
import type { StoreUnderTest } from '../unit/stores_under_test.js'
import { storeOf, TOPOLOGIES } from './topologies.js'
import type { Running, Topology } from './topologies.js'

/** The spec files that have sections for every store. */
const FILES = [
  ...['abort', 'bad_input', 'close', 'exclusion', 'identity', 'keys', 'lease', 'logger', 'owners'],
  ...['ownership', 'retry', 'run', 'waiting'],
]

export interface Variant {
  topology: Topology
  name?: string
  /** Driven by the native engine. */
  isNative?: boolean
  createStore?: (running: Running) => LockStore
  /** Called after the last test. */
  stop?: () => void
}

/**
 * Registers all of it for one way of reaching Redis. The servers are started for the first group and stopped after the
 * last.
 */
export async function registerContract(variant: Variant): Promise<void> {
  const { topology, isNative = true } = variant
  const title = variant.name ?? `Redis, ${topology}`
  let starting: Promise<Running> | undefined
  let running: Running
  const start = async () => {
    starting ??= TOPOLOGIES[topology]()
    running = await starting
  }
  const createStore = () => (variant.createStore ?? storeOf)(running)
  const store: StoreUnderTest = {
    name: title,
    isNative,
    createStore,
    createFactory: (options) => new LockFactory(createStore(), options),
  }

  const sections = await collectSections(FILES)
  for (const { section, define } of sections) {
    test.group(`${section} | ${title}`, (group) => {
      group.setup(start)
      define(store)
    })
  }

  test.group(`conformance | ${title}`, (group) => {
    group.setup(start)
    group.teardown(() => {
      variant.stop?.()
      return running.stop()
    })

    test('the public suite passes', async ({ assert }) => {
      const { count, failures } = await runCollected(assert, (collect) =>
        registerStoreTestSuite({ test: collect, createStore })
      )
      assert.deepEqual(failures, {})
      assert.isAtLeast(count, 15)
    })

    test("the peer's suite passes", async ({ assert }) => {
      const register = (collect: typeof test) =>
        registerPeerSuite({ test: collect, createStore } as never)
      // Some of its tests sleep for exactly as long as a lease lasts, and a timer may be a little early.
      const { count, failures } = await runCollected(assert, register, { times: 3 })
      assert.deepEqual(failures, {})
      assert.isAtLeast(count, 25)
    })
  })
}
