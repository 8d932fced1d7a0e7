import { setTimeout as sleep } from 'node:timers/promises'

import { test } from '@japa/runner'
import { LockFactory, Verrou } from 'loquet'
import { MemoryStore, memoryStore } from 'loquet/drivers/memory'
import type { DurationSummary } from 'loquet/types'

import { errorOf, expire, until } from './observe.js'
import { forEachStore, SyncStore } from './stores_under_test.js'

const NOTHING: DurationSummary = {
  count: 0,
  min: 0,
  max: 0,
  mean: 0,
  p50: 0,
  p90: 0,
  p99: 0,
  p999: 0,
}

/** Three significant digits, rounded up or down. */
const BELOW = 0.999
const ABOVE = 1.001

forEachStore('stats', ({ isNative, createStore, createFactory }) => {
  test('nothing is counted before anything has happened', ({ assert }) => {
    assert.deepEqual(createFactory().stats(), {
      wait: NOTHING,
      hold: NOTHING,
      contended: [],
      waiters: 0,
      leases: 0,
      roundTrips: 0,
      reconnects: 0,
    })
  })

  test('waits, holds and leases of locks that nobody contends for', async ({ assert }) => {
    const factory = createFactory()
    for (let round = 0; round < 4; round++) {
      await factory.createLock(`k${round}`).run(() => {
        assert.equal(factory.stats().leases, 1)
      })
    }
    const lock = factory.createLock('k')
    await lock.acquire()
    const acquiredAt = performance.now()
    await sleep(20)
    const held = performance.now() - acquiredAt
    await lock.release()

    const { wait, hold, leases, waiters, contended } = factory.stats()
    assert.deepEqual([wait.count, hold.count, leases, waiters], [5, 5, 0, 0])
    assert.deepEqual(contended, [])
    if (isNative) assert.deepEqual(wait, { ...NOTHING, count: 5 })
    assert.isAtLeast(hold.max, held * BELOW)
    assert.isBelow(hold.min, hold.max)
    for (const { min, max, mean, p50, p90, p99, p999 } of [wait, hold]) {
      const ordered = [min, p50, p90, p99, p999, max]
      assert.deepEqual(
        ordered,
        ordered.toSorted((one, other) => one - other)
      )
      assert.isTrue(min <= mean * ABOVE && mean <= max * ABOVE)
    }
  })

  test('those who wait are counted by key, and how long they have waited', async ({ assert }) => {
    const factory = createFactory()
    const crowds = { 'one': 1, '\0three': 3, '\ud800two': 2 }
    const holders = Object.keys(crowds).map((key) => factory.createLock(key))
    for (const holder of holders) await holder.acquire()
    const waiting = Object.entries(crowds).flatMap(([key, count]) =>
      Array.from({ length: count }, () => factory.createLock(key).run(() => {}))
    )
    await until(() => factory.stats().waiters === 6)
    const since = performance.now()
    const { contended, leases, wait } = factory.stats()
    assert.deepEqual(contended, [
      { key: '\0three', waiters: 3 },
      { key: '\ud800two', waiters: 2 },
      { key: 'one', waiters: 1 },
    ])
    assert.deepEqual([leases, wait.count], [3, 3])
    await sleep(20)

    const waited = performance.now() - since
    for (const holder of holders) await holder.release()
    await Promise.all(waiting)
    const after = factory.stats()
    assert.deepEqual([after.waiters, after.leases, after.contended], [0, 0, []])
    assert.deepEqual([after.wait.count, after.hold.count], [9, 9])
    // Those who have waited are six of nine.
    assert.isAtLeast(after.wait.p50, waited * BELOW)
    assert.isBelow(after.wait.min, after.wait.max)
  })

  test('at most ten keys are told, those with the most waiters', async ({ assert }) => {
    const factory = createFactory()
    const controller = new AbortController()
    const waiting: Promise<unknown>[] = []
    for (let number = 0; number < 12; number++) {
      await factory.createLock(`k${number}`).acquire()
      for (let count = 0; count <= number; count++) {
        const acquiring = factory.createLock(`k${number}`).acquire({ signal: controller.signal })
        waiting.push(errorOf(() => acquiring))
      }
    }
    await until(() => factory.stats().waiters === 78)
    const { contended } = factory.stats()
    assert.deepEqual(
      contended.map(({ key, waiters }) => [key, waiters]),
      [11, 10, 9, 8, 7, 6, 5, 4, 3, 2].map((number) => [`k${number}`, number + 1])
    )
    controller.abort()
    await Promise.all(waiting)
    await until(() => factory.stats().waiters === 0)
    assert.deepEqual(factory.stats().contended, [])
  })

  test('a wait that ends without the lock is no wait', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k').acquire()
    const lock = factory.createLock('k')
    assert.isFalse(await lock.acquireImmediately())
    assert.isFalse(await lock.acquire({ retry: { attempts: 2, delay: 5 } }))
    assert.isFalse(await lock.acquire({ retry: { timeout: 10 } }))
    const controller = new AbortController()
    const aborted = errorOf(() => lock.acquire({ signal: controller.signal }))
    controller.abort()
    await aborted
    const { wait, leases } = factory.stats()
    assert.deepEqual([wait.count, leases], [1, 1])
  })

  test('a lease that expires was held until its end', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', 10_000)
    const startedAt = performance.now()
    await lock.acquire()
    await expire(lock)
    const { hold, leases } = factory.stats()
    assert.deepEqual([hold.count, leases], [1, 0])
    assert.isAtLeast(hold.min, 25 * BELOW)
    assert.isAtMost(hold.max, (performance.now() - startedAt) * ABOVE)
    // Its release comes too late to count.
    await errorOf(() => lock.release())
    assert.equal(factory.stats().hold.count, 1)
  })

  test('an extended lease is held for longer, one that is freed by force until then', async ({
    assert,
  }) => {
    const factory = createFactory()
    const [extended, freed] = [factory.createLock('extended', 5000), factory.createLock('freed')]
    await extended.acquire()
    await extended.extend('1h')
    await freed.acquire()
    assert.equal(factory.stats().leases, 2)
    await factory.createLock('freed').forceRelease()
    const { hold, leases } = factory.stats()
    assert.deepEqual([hold.count, leases], [1, 1])
    assert.isBelow(hold.max, 30_000)
    await errorOf(() => freed.release())
    assert.equal(factory.stats().hold.count, 1)
  })

  test('the figures are those of the store, whoever uses it', async ({ assert }) => {
    const store = createStore()
    const verrou = new Verrou({
      default: 'main',
      stores: {
        main: { driver: { factory: () => store } },
        other: { driver: { factory: () => createStore() } },
        unused: { driver: { factory: () => createStore() } },
      },
    })
    assert.deepEqual(verrou.stats(), {})
    await verrou.createLock('k').run(() => {})
    await new LockFactory(store).createLock('k').acquire()
    await verrou
      .use('other')
      .createLock('k')
      .run(() => {})
    const { main, other, ...rest } = verrou.stats()
    assert.deepEqual(rest, {})
    assert.deepEqual([main?.wait.count, main?.hold.count, main?.leases], [2, 1, 1])
    assert.deepEqual([other?.wait.count, other?.hold.count, other?.leases], [1, 1, 0])
    assert.deepEqual(main, verrou.use('main').stats())
    await verrou.close()
    assert.equal(verrou.stats().main?.wait.count, 2)
  })
})

test.group('stats', () => {
  test('each call of a store is a round trip; memory needs none', async ({ assert }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store)
    const lock = factory.createLock('k')
    await lock.acquire()
    await lock.extend()
    await lock.isLocked()
    await factory.createLock('k').acquireImmediately()
    await lock.release()
    await lock.forceRelease()
    assert.equal(store.calls, 6)
    assert.equal(factory.stats().roundTrips, 6)

    const memory = new LockFactory(new MemoryStore())
    await memory.createLock('k').run(() => {})
    assert.equal(memory.stats().roundTrips, 0)
  })

  test('stores that share a lock space share its figures', async ({ assert }) => {
    const [one, other] = ['one', 'other'].map((name) => {
      return new Verrou({
        default: name,
        stores: { [name]: { driver: memoryStore({ shared: 'stats' }) } },
      })
    })
    await one.createLock('k').acquire()
    const waiting = other.createLock('k').acquire()
    const stats = one.stats().one
    assert.deepEqual(stats?.contended, [{ key: 'k', waiters: 1 }])
    assert.deepEqual(other.stats().other, stats)
    await one.use().createLock('k').forceRelease()
    assert.isTrue(await waiting)
    await other.close({ release: true })
    assert.equal(one.stats().one?.hold.count, 2)
  })
})
