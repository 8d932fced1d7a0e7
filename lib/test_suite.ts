import { setTimeout as sleep } from 'node:timers/promises'

import { E_LOCK_NOT_OWNED } from './errors.js'
import { LockFactory } from './lock_factory.js'
import type { test as japaTest } from '@japa/runner'
import type { Group } from '@japa/runner/core'
import type { LockFactoryOptions, LockStore } from './types/main.js'

/**
 * What the suite needs to know of a store.
 */
export interface StoreTestSuiteOptions {
  /** Japa's `test`. The runner needs the `@japa/assert` plugin. */
  test: typeof japaTest
  /** Makes the store under test. Called once for each test; all stores may share one storage. */
  createStore: () => LockStore | Promise<LockStore>
  /** Adds hooks to the group of tests, to empty the storage before each, say. */
  configureGroup?: (group: Group) => void
}

/** The part of `@japa/assert` that the suite uses. */
interface Assert {
  isTrue(value: unknown): void
  isFalse(value: unknown): void
  isNull(value: unknown): void
  deepEqual(actual: unknown, expected: unknown): void
  isAtLeast(value: number, least: number): void
  rejects(callback: () => unknown, ...expectation: (string | RegExp)[]): Promise<void>
}

/** Milliseconds of a lease that runs out in a test, and how long to wait for that. */
const SHORT = 1500
const OVER = SHORT + 200

/** Milliseconds of a lease that lasts until many calls have been answered. */
const LONG = 30_000

/** Milliseconds that a test may take. */
const TIMEOUT = 60_000

/** How many callers there are at the same time. A store may perform them one after another. */
const MANY = 10

/** A store that can give fencing tokens. */
type FencedStore = LockStore & Required<Pick<LockStore, 'saveFenced'>>

/**
 * Registers tests that every lock store has to pass, as one Japa group.
 *
 * The tests use a fresh key each and take about ten seconds with a store in memory. A store may take a second for a call:
 * what has to happen before a lease ends has that much time, and nothing is expected at once.
 */
export function registerStoreTestSuite(options: StoreTestSuiteOptions): void {
  const { test, createStore, configureGroup } = options

  test.group('Lock store', (group) => {
    configureGroup?.(group)

    let keys = 0
    /** A fresh key: stores may share a storage that outlives the tests. */
    const newKey = () => `suite:${process.pid}:${Date.now()}:${keys++}`
    const newFactory = async (settings?: LockFactoryOptions) =>
      new LockFactory(await createStore(), settings)

    const check = (title: string, run: (assert: Assert) => Promise<void>) =>
      // Whatever the runner's own limit is: its default is shorter than some leases here.
      test(title, (context) => run((context as unknown as { assert: Assert }).assert)).timeout(
        TIMEOUT
      )

    check('save: locks a free key and no key that is held', async (assert) => {
      const store = await createStore()
      const key = newKey()
      assert.isTrue(await store.save(key, 'one', 5000))
      assert.isFalse(await store.save(key, 'two', 5000))
      assert.isTrue(await store.exists(key))
      assert.isTrue(await store.save(newKey(), 'two', 5000))
      await store.delete(key, 'one')
    })

    check('save: of many at the same time one gets the lock', async (assert) => {
      const store = await createStore()
      const key = newKey()
      const tries = Array.from({ length: MANY }, (_, index) =>
        store.save(key, `owner-${index}`, LONG)
      )
      const saved = await Promise.all(tries)
      assert.deepEqual(saved.filter(Boolean).length, 1)
      await store.forceDelete(key)
    })

    check('save: a key may be any text', async (assert) => {
      const store = await createStore()
      for (const text of [
        "'; DROP TABLE locks; --",
        'a b\tc',
        '日本語 🔒',
        '%_*?[]{}',
        'x'.repeat(300),
      ]) {
        const key = `${newKey()}${text}`
        assert.isTrue(await store.save(key, 'one', 5000))
        assert.isFalse(await store.save(key, 'two', 5000))
        await store.delete(key, 'one')
        assert.isFalse(await store.exists(key))
      }
    })

    check('save: keys that differ in case are different', async (assert) => {
      const store = await createStore()
      const key = newKey()
      assert.isTrue(await store.save(`${key}a`, 'one', 5000))
      assert.isTrue(await store.save(`${key}A`, 'one', 5000))
      await store.delete(`${key}a`, 'one')
      assert.isTrue(await store.exists(`${key}A`))
      await store.delete(`${key}A`, 'one')
    })

    check('delete: frees the key for the next', async (assert) => {
      const store = await createStore()
      const key = newKey()
      await store.save(key, 'one', 5000)
      await store.delete(key, 'one')
      assert.isFalse(await store.exists(key))
      assert.isTrue(await store.save(key, 'two', 5000))
      await store.delete(key, 'two')
    })

    check('delete: only the owner can, and only while it holds the lock', async (assert) => {
      const store = await createStore()
      const key = newKey()
      await assertNotOwned(() => store.delete(key, 'one'))
      await store.save(key, 'one', 5000)
      await assertNotOwned(() => store.delete(key, 'two'))
      assert.isTrue(await store.exists(key))
      await store.delete(key, 'one')
      await assertNotOwned(() => store.delete(key, 'one'))
    })

    check('forceDelete: frees a key whoever holds it, also if nobody does', async (assert) => {
      const store = await createStore()
      const key = newKey()
      await store.forceDelete(key)
      await store.save(key, 'one', null)
      await store.forceDelete(key)
      assert.isFalse(await store.exists(key))
      await assertNotOwned(() => store.delete(key, 'one'))
    })

    check('expiry: an expired lease is as good as none', async (assert) => {
      const store = await createStore()
      const key = newKey()
      assert.isTrue(await store.save(key, 'one', SHORT))
      await sleep(OVER)
      assert.isFalse(await store.exists(key))
      await assertNotOwned(() => store.delete(key, 'one'))
      await assertNotOwned(() => store.extend(key, 'one', 1000))
    })

    check('expiry: the new owner owns the lock fully, the old one no longer', async (assert) => {
      const store = await createStore()
      const key = newKey()
      await store.save(key, 'old', SHORT)
      await sleep(OVER)
      assert.isTrue(await store.save(key, 'new', 5000))
      await assertNotOwned(() => store.delete(key, 'old'))
      await assertNotOwned(() => store.extend(key, 'old', 5000))
      assert.isTrue(await store.exists(key))
      await store.extend(key, 'new', 5000)
      await store.delete(key, 'new')
    })

    check('expiry: without a TTL there is none', async (assert) => {
      const store = await createStore()
      const key = newKey()
      await store.save(key, 'one', null)
      await sleep(300)
      assert.isTrue(await store.exists(key))
      assert.isFalse(await store.save(key, 'two', 5000))
      await store.delete(key, 'one')
    })

    check('extend: makes the lease last from now', async (assert) => {
      const store = await createStore()
      const key = newKey()
      await store.save(key, 'one', 2000)
      await store.extend(key, 'one', 10_000)
      await sleep(2200)
      assert.isTrue(await store.exists(key))
      await store.extend(key, 'one', SHORT)
      await sleep(OVER)
      assert.isFalse(await store.exists(key))
    })

    check('extend: only the owner can', async () => {
      const store = await createStore()
      const key = newKey()
      await assertNotOwned(() => store.extend(key, 'one', 5000))
      await store.save(key, 'one', 5000)
      await assertNotOwned(() => store.extend(key, 'two', 5000))
      await store.delete(key, 'one')
    })

    // Only for stores that have the method; for others there is nothing to see.
    const checkFenced = (
      title: string,
      run: (assert: Assert, store: FencedStore, key: string) => Promise<void>
    ) =>
      check(`saveFenced: ${title}`, async (assert) => {
        const store = await createStore()
        if (isFenced(store)) await run(assert, store, newKey())
      })

    checkFenced(
      'locks like save, for others that have a token or none',
      async (assert, store, key) => {
        const token = await store.saveFenced(key, 'one', 5000)
        assert.isTrue(typeof token === 'bigint' && token > 0n && token <= Number.MAX_SAFE_INTEGER)
        assert.deepEqual(await store.saveFenced(key, 'two', 5000), false)
        assert.isFalse(await store.save(key, 'two', 5000))
        assert.isTrue(await store.exists(key))
        await assertNotOwned(() => store.delete(key, 'two'))
        await store.extend(key, 'one', 10_000)
        await store.delete(key, 'one')
        assert.isFalse(await store.exists(key))
        assert.isTrue(await store.save(key, 'two', 5000))
        assert.deepEqual(await store.saveFenced(key, 'one', 5000), false)
        await store.delete(key, 'two')
      }
    )

    checkFenced(
      'each token is greater, however the lease before has ended',
      async (assert, store, key) => {
        const tokens: (bigint | false)[] = []
        tokens.push(await store.saveFenced(key, 'released', 5000))
        await store.delete(key, 'released')
        tokens.push(await store.saveFenced(key, 'endless', null))
        await store.forceDelete(key)
        tokens.push(await store.saveFenced(key, 'expired', SHORT))
        await sleep(OVER)
        tokens.push(await store.saveFenced(key, 'after', 5000))
        await store.delete(key, 'after')
        await store.save(key, 'without', 5000)
        await store.delete(key, 'without')
        tokens.push(await store.saveFenced(key, 'last', 5000))
        await store.delete(key, 'last')
        for (const [index, token] of tokens.entries()) {
          const before = tokens[index - 1] ?? 0n
          assert.isTrue(token !== false && before !== false && token > before)
        }
      }
    )

    checkFenced('of many at the same time one gets the lock', async (assert, store, key) => {
      const tries = Array.from({ length: MANY }, (_, index) =>
        store.saveFenced(key, `owner-${index}`, LONG)
      )
      const saved = await Promise.all(tries)
      assert.deepEqual(saved.filter((token) => token !== false).length, 1)
      await store.forceDelete(key)
    })

    check('lock: waits until the holder releases', async (assert) => {
      const factory = await newFactory()
      const key = newKey()
      const holder = factory.createLock(key)
      await holder.acquire()
      let isReleased = false
      let isEarly = false
      const waiter = factory.createLock(key)
      const waiting = waiter.acquire().then((acquired) => {
        isEarly = !isReleased
        return acquired
      })
      // Should the release fail, that is the error to be told.
      waiting.catch(() => {})
      await sleep(50)
      isReleased = true
      await holder.release()
      assert.isTrue(await waiting)
      assert.isFalse(isEarly)
      await waiter.release()
    })

    check('lock: gives up after the timeout and not before', async (assert) => {
      const factory = await newFactory()
      const key = newKey()
      const holder = factory.createLock(key)
      await holder.acquire()
      const start = Date.now()
      const retry = { timeout: 200, delay: 20 }
      assert.isFalse(await factory.createLock(key).acquire({ retry }))
      assert.isAtLeast(Date.now() - start, 200)
      await holder.release()
    })

    check('lock: is granted once the holder has expired', async (assert) => {
      const factory = await newFactory({ retry: { timeout: 5000, delay: 20 } })
      const key = newKey()
      await factory.createLock(key, 200).acquire()
      const next = factory.createLock(key)
      assert.isTrue(await next.acquire())
      await next.release()
    })

    check(
      'run: excludes, returns what the callback returns, passes its error on',
      async (assert) => {
        const factory = await newFactory()
        const key = newKey()
        let running = 0
        let most = 0
        const task = async (value: number) => {
          most = Math.max(most, ++running)
          await sleep(5)
          running--
          return value
        }
        const runs = [1, 2, 3, 4].map((value) => factory.createLock(key).run(() => task(value)))
        assert.deepEqual(
          await Promise.all(runs),
          [1, 2, 3, 4].map((value) => [true, value])
        )
        assert.deepEqual(most, 1)
        const failing = factory.createLock(key).run(() => {
          throw new Error('from the callback')
        })
        await assert.rejects(() => failing, 'from the callback')
        assert.isFalse(await factory.createLock(key).isLocked())
      }
    )

    check('serialize: a lock is released by the one that is restored from it', async (assert) => {
      const factory = await newFactory()
      const lock = factory.createLock(newKey(), 5000)
      await lock.acquire()
      const restored = factory.restoreLock(JSON.parse(JSON.stringify(lock.serialize())))
      assert.isAtLeast(restored.getRemainingTime() ?? 0, 1)
      await restored.extend(10_000)
      await restored.release()
      assert.isFalse(await lock.isLocked())
      assert.isNull(restored.getRemainingTime())
    })
  })
}

function isFenced(store: LockStore): store is FencedStore {
  return typeof store.saveFenced === 'function'
}

/** A store may throw the error of this package or of any other that bears the same code. */
async function assertNotOwned(call: () => unknown): Promise<void> {
  try {
    await call()
  } catch (error) {
    if (error instanceof E_LOCK_NOT_OWNED) return
    if (error instanceof Error && 'code' in error && error.code === 'E_LOCK_NOT_OWNED') return
    throw error
  }
  throw new Error('expected the store to throw E_LOCK_NOT_OWNED, but it did not throw')
}
