/**
 * The rules of the contract, as they are tested with every store, on servers and files.
 */
import { test } from '@japa/runner'
import { registerStoreTestSuite as registerPeerSuite } from '@verrou/core/test_suite'
import { LockFactory } from 'loquet'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { LockStore } from 'loquet/types'

import { runCollected } from '../stores/collected_suite.js'
import { collectSections } from '../unit/stores_under_test.js'
import type { StoreUnderTest } from '../unit/stores_under_test.js'

/** The spec files that have sections for every store. */
const FILES = [
  ...['abort', 'bad_input', 'close', 'exclusion', 'fenced_locks', 'fencing', 'holding', 'identity'],
  ...['keys', 'lease', 'logger', 'owners', 'ownership', 'retry', 'run', 'waiting'],
]

/** What has been started. */
export interface Running {
  stop: () => Promise<void>
}

/** One way of reaching a server of some kind. */
export interface Subject<R extends Running> {
  title: string
  start: () => Promise<R>
  /** A store with keys of its own. */
  createStore: (running: R) => LockStore
  /** One whose calls are performed in the order in which they are made, where not all are: the peer's suite needs it. */
  createOrderedStore?: (running: R) => LockStore
  /** Driven by the native engine. */
  isNative?: boolean
  /** Whether it has `saveFenced`. */
  isFenced?: boolean
  /**
   * Whether stores are used once before a test gets them: the first use of some takes longer than what a test allows for,
   * since it connects and makes a table.
   */
  isWarmed?: boolean
  /** Called after the last test. */
  stop?: () => void | Promise<void>
}

/** How many stores are ready when a test begins; few need more. */
const READY = 2

/**
 * Registers all of it. The server is started for the first group and stopped after the last.
 */
export async function registerContractFor<R extends Running>(subject: Subject<R>): Promise<void> {
  const { title, isNative = true, isFenced = true } = subject
  let starting: Promise<R> | undefined
  let running: R
  const start = async () => {
    starting ??= subject.start()
    running = await starting
  }
  const ready: LockStore[] = []
  const createStore = () => ready.pop() ?? subject.createStore(running)
  const createWarm = async () => {
    const store = subject.createStore(running)
    if (subject.isWarmed) await store.exists('warm')
    return store
  }
  const prepare = async () => {
    while (subject.isWarmed && ready.length < READY) ready.push(await createWarm())
  }
  const store: StoreUnderTest = {
    name: title,
    isNative,
    isFenced,
    createStore,
    createFactory: (options) => new LockFactory(createStore(), options),
  }

  const sections = await collectSections(FILES)
  for (const { section, define } of sections) {
    test.group(`${section} | ${title}`, (group) => {
      group.setup(start)
      group.each.setup(prepare)
      define(store)
    })
  }

  test.group(`conformance | ${title}`, (group) => {
    group.setup(start)
    group.teardown(async () => {
      await subject.stop?.()
      await running.stop()
    })

    test('the public suite passes', async ({ assert }) => {
      const register = (collect: typeof test) =>
        registerStoreTestSuite({ test: collect, createStore: createWarm })
      const { count, failures } = await runCollected(assert, register)
      assert.deepEqual(failures, {})
      assert.isAtLeast(count, 15)
    })

    test("the peer's suite passes", async ({ assert }) => {
      const createOrdered = () => subject.createOrderedStore?.(running) ?? createStore()
      const register = (collect: typeof test) =>
        registerPeerSuite({ test: collect, createStore: createOrdered } as never)
      // Some of its tests sleep for exactly as long as a lease lasts, and a timer may be a little early.
      const { count, failures } = await runCollected(assert, register, { times: 5 })
      assert.deepEqual(failures, {})
      assert.isAtLeast(count, 25)
    })
  })
}
