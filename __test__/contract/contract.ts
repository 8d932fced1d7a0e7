/**
 * The rules of the contract, as they are tested with every store, on servers and files.
 */
import { test } from '@japa/runner'
import { registerStoreTestSuite as registerPeerSuite } from '@verrou/core/test_suite'
import { LockFactory } from 'loquet'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { LockStore } from 'loquet/types'

import { runCollected } from '../stores/collected_suite.js'
import { until } from '../unit/observe.js'
import { collectSections } from '../unit/stores_under_test.js'
import type { StoreUnderTest } from '../unit/stores_under_test.js'

/** The spec files that have sections for every store. */
const FILES = [
  ...['abort', 'bad_input', 'close', 'exclusion', 'fenced_locks', 'fencing', 'holding', 'identity'],
  ...['keys', 'lease', 'logger', 'owners', 'ownership', 'retry', 'run', 'waiting'],
]

/** Those that take a while: tested with one store of each kind. */
const LONG_FILES = ['close_release', 'diagnostics', 'keeping', 'self_deadlock']

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
  /** One that is ordered, where not all are: the peer's suite needs it. */
  createOrderedStore?: (running: R) => LockStore
  /** Driven by the native engine. */
  isNative?: boolean
  /** Whether it has `saveFenced`. */
  isFenced?: boolean
  /** Whether calls are performed in the order in which they are made: not if they go over several connections. */
  isOrdered?: boolean
  /**
   * Whether stores are used once before a test gets them: the first use of some takes longer than what a test allows for,
   * since it connects and makes a table.
   */
  isWarmed?: boolean
  /** Whether what takes long is tested too. */
  isThorough?: boolean
  /** Called after the last test. */
  stop?: () => void | Promise<void>
}

/** How many stores are ready when a test begins; few need more. */
const READY = 2

/**
 * Registers all of it. The server is started for the first group and stopped after the last.
 */
export async function registerContractFor<R extends Running>(subject: Subject<R>): Promise<void> {
  const { title, isNative = true, isFenced = true, isOrdered = true } = subject
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
    isOrdered,
    createStore,
    createFactory: (options) => new LockFactory(createStore(), options),
  }

  const sections = await collectSections(subject.isThorough ? [...FILES, ...LONG_FILES] : FILES)
  for (const { section, define } of sections) {
    test.group(`${section} | ${title}`, (group) => {
      group.setup(start)
      group.each.setup(prepare)
      define(store)
    })
  }

  test.group(`figures | ${title}`, (group) => {
    group.setup(start)
    group.each.setup(prepare)

    test('a lock, a wait and two leases are counted', async ({ assert }) => {
      const factory = new LockFactory(createStore())
      // Nothing is known without a connection; those who share one share their figures.
      await factory.createLock('first').run(() => {})
      const before = factory.stats()
      const lock = factory.createLock('figures')
      await lock.acquire()
      assert.isAtLeast(factory.stats().leases, 1)
      const waiting = factory.createLock('figures').run(() => {})
      await until(() => factory.stats().contended.some(({ key }) => key === 'figures'))
      assert.isAtLeast(factory.stats().waiters, 1)
      await lock.release()
      await waiting

      const { wait, hold, contended, waiters, roundTrips } = factory.stats()
      assert.equal(wait.count, before.wait.count + 2)
      assert.isAtLeast(hold.count, before.hold.count + 2)
      assert.isAbove(wait.max, 0)
      assert.isAbove(hold.max, 0)
      assert.deepEqual([waiters, contended], [0, []])
      // Saved, asked for, handed over, released: what is asked for together may travel together.
      assert.isAtLeast(roundTrips, before.roundTrips + 3)
    })
  })

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
