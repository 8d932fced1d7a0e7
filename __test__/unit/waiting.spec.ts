import { setMaxListeners } from 'node:events'

import { test } from '@japa/runner'
import { E_LOCK_NOT_OWNED, LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { isPending, millisOf, sleep, withTime } from './observe.js'
import { forEachStore } from './stores_under_test.js'

/** A poll would come long after the test has failed. */
const NO_POLL = { delay: 60_000 }

/** How late, in milliseconds, a waiter may be granted a lock that has expired. */
const SOON = 100

/** A busy machine may delay any single grant: the best of so many is what counts. */
const ROUNDS = 8

/** The least lateness of up to `ROUNDS` grants, of which nothing more is wanted once one has come soon. */
async function leastLate(grant: (round: number) => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS && least >= SOON; round++) {
    least = Math.min(least, await grant(round))
  }
  return least
}

forEachStore('waiting', ({ isNative, createStore, createFactory }) => {
  test('C7: acquire resolves to true when the lock is free or becomes free', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k')
    assert.isTrue(await lock.acquire())
    const waiting = factory.createLock('k').acquire()
    await lock.release()
    assert.isTrue(await waiting)
  })

  test('C7: acquire resolves to false when attempts or timeout is used up', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k').acquire()
    const lock = factory.createLock('k')
    assert.isFalse(await lock.acquire({ retry: { attempts: 1 } }))
    assert.isFalse(await lock.acquire({ retry: { attempts: 3, delay: 5 } }))
    assert.isFalse(await lock.acquire({ retry: { timeout: 10 } }))
    assert.isFalse(await lock.acquire({ retry: { attempts: 1000, delay: 5, timeout: '10ms' } }))
    assert.isFalse(await lock.acquireImmediately())
  })

  test('C7: run and runImmediately resolve to [false, null] and do not run the callback', async ({
    assert,
  }) => {
    const factory = createFactory()
    await factory.createLock('k').acquire()
    const lock = factory.createLock('k')
    let calls = 0
    const callback = () => ++calls
    assert.deepEqual(await lock.runImmediately(callback), [false, null])
    assert.deepEqual(await lock.run(callback, { retry: { timeout: 10 } }), [false, null])
    assert.deepEqual(await lock.run(callback, { retry: { attempts: 2, delay: 5 } }), [false, null])
    assert.equal(calls, 0)
  })

  test('C8: a waiter is granted at once when the holder releases, in FIFO order', async ({
    assert,
  }) => {
    const factory = createFactory()
    const order: number[] = []
    const holder = factory.createLock('k')
    await holder.acquire()
    // Whatever their policies are, they are served in the order in which they came.
    const policies = [
      NO_POLL,
      { delay: 40_000, timeout: 30_000 },
      { delay: 1, timeout: 30_000 },
      { delay: 50_000, attempts: 5 },
      { delay: 2 },
      { ...NO_POLL, attempts: 2 },
      NO_POLL,
    ]
    const waiting = policies.map(async (retry, index) => {
      const lock = factory.createLock('k', index % 2 === 0 ? null : 60_000)
      assert.isTrue(await lock.acquire({ retry }))
      order.push(index)
      await lock.release()
    })
    await sleep(20)
    assert.deepEqual(order, [])
    const start = Date.now()
    await holder.release()
    await Promise.all(waiting)
    assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6])
    assert.isBelow(Date.now() - start, 5000)
  })

  test('C8: run hands over in FIFO order, hundreds of times', async ({ assert }) => {
    const factory = createFactory({ retry: NO_POLL })
    const order: number[] = []
    const numbers = Array.from({ length: 300 }, (_, index) => index)
    await Promise.all(numbers.map((n) => factory.createLock('k').run(() => order.push(n))))
    assert.deepEqual(order, numbers)
  })

  test('C8: nobody who comes later overtakes a waiter', async ({ assert }) => {
    const factory = createFactory({ retry: NO_POLL })
    const [holder, waiter, late] = [1, 2, 3].map(() => factory.createLock('k'))
    await holder.acquire()
    const order: string[] = []
    const waiting = waiter.acquire().then(() => order.push('waiter'))
    const releasing = holder.release()
    const lateWaiting = late.acquire().then(() => order.push('late'))
    await Promise.all([releasing, waiting])
    assert.deepEqual(order, ['waiter'])
    await waiter.release()
    await lateWaiting
    assert.deepEqual(order, ['waiter', 'late'])
  })

  test('C8: those who give up leave the order of the others as it is', async ({ assert }) => {
    const factory = createFactory({ retry: NO_POLL })
    const holder = factory.createLock('k')
    await holder.acquire()
    const order: string[] = []
    const abort = new AbortController()
    const join = (name: string, options = {}) =>
      factory.createLock('k').run(() => order.push(name), options)
    const all = [
      join('gives up', { retry: { timeout: 10 } }),
      join('first'),
      join('is aborted', { signal: abort.signal }).catch(() => {}),
      join('gives up', { retry: { attempts: 2, delay: 10 } }),
      join('second'),
      join('is aborted', { signal: abort.signal }).catch(() => {}),
      join('third'),
    ]
    await sleep(40)
    abort.abort()
    await holder.release()
    await Promise.all(all)
    assert.deepEqual(order, ['first', 'second', 'third'])
  })

  const releases: [title: string, release: (factory: LockFactory) => Promise<() => unknown>][] = [
    [
      'a restored lock is released',
      async (factory) => {
        const lock = factory.createLock('k')
        await lock.acquire()
        return () => factory.restoreLock(lock.serialize()).release()
      },
    ],
    [
      'it is released by force',
      async (factory) => {
        await factory.createLock('k').acquire()
        return () => factory.createLock('k').forceRelease()
      },
    ],
    [
      'a run ends',
      async (factory) => {
        let end!: () => void
        const ended = new Promise<void>((resolve) => {
          end = resolve
        })
        await new Promise<void>((resolve) => {
          void factory.createLock('k').run(() => {
            resolve()
            return ended
          })
        })
        return end
      },
    ],
    [
      'the callback of a run fails',
      async (factory) => {
        let fail!: (reason: unknown) => void
        const failed = new Promise<void>((_, reject) => {
          fail = reject
        })
        await new Promise<void>((resolve) => {
          const running = factory.createLock('k').run(() => {
            resolve()
            return failed
          })
          running.catch(() => {})
        })
        return () => fail(new Error('from the callback'))
      },
    ],
  ]
  for (const [title, prepare] of releases) {
    test(`C8: a waiter is granted at once when ${title}`, async ({ assert }) => {
      const factory = createFactory({ retry: NO_POLL })
      const release = await prepare(factory)
      const waiting = factory.createLock('k').acquire()
      assert.isTrue(await isPending(waiting))
      await release()
      assert.isBelow(await millisOf(() => waiting), 5000)
    })
  }

  if (isNative) {
    test('C8: a waiter is granted at once when the lock is deleted through the store', async ({
      assert,
    }) => {
      const store = createStore()
      const factory = new LockFactory(store, { retry: NO_POLL })
      for (const free of [() => store.delete('k', 'one'), () => store.forceDelete('k')]) {
        await store.save('k', 'one', null)
        const lock = factory.createLock('k')
        const waiting = lock.acquire()
        assert.isTrue(await isPending(waiting))
        await free()
        assert.isTrue(await waiting)
        await lock.release()
      }
    })
  }

  test('C8: a waiter is granted at the expiry of the holder without a poll', async ({ assert }) => {
    const factory = createFactory({ retry: NO_POLL })
    const late = await leastLate(async (round) => {
      const [holder, waiter] = [factory.createLock('k', 60 * (1 + round)), factory.createLock('k')]
      await holder.acquire()
      await waiter.acquire()
      assert.isTrue(holder.isExpired())
      const millis = -holder.getRemainingTime()!
      await waiter.release()
      return millis
    })
    assert.isBelow(late, SOON)
  })

  test('C8: waiters follow each other at expiry, in FIFO order', async ({ assert }) => {
    const factory = createFactory({ retry: NO_POLL })
    const order: number[] = []
    const holder = factory.createLock('k')
    await holder.acquire()
    const waiting = [0, 1, 2, 3].map(async (index) => {
      const lock = factory.createLock('k')
      await lock.acquire()
      order.push(index)
      await lock.extend(30)
    })
    await holder.extend(30)
    await Promise.all(waiting)
    assert.deepEqual(order, [0, 1, 2, 3])
  })

  test('C8: a waiter is granted at the expiry of a lease that has been extended, not before', async ({
    assert,
  }) => {
    const factory = createFactory({ retry: NO_POLL })
    const grant = async (ttl: number | null, extension: number) => {
      const [holder, waiter] = [factory.createLock('k', ttl), factory.createLock('k')]
      await holder.acquire()
      const waiting = waiter.acquire()
      await sleep(5)
      const error = await holder.extend(extension).then(
        () => undefined,
        (reason: unknown) => reason
      )
      assert.isTrue(await waiting)
      assert.isTrue(holder.isExpired())
      const millis = -holder.getRemainingTime()!
      await waiter.release()
      if (error === undefined) return millis
      // It may have come too late for a short lease.
      assert.instanceOf(error, E_LOCK_NOT_OWNED)
      assert.isBelow(ttl ?? Number.POSITIVE_INFINITY, 1000)
      return Number.POSITIVE_INFINITY
    }
    const longer = (round: number) => grant(120 * (1 + round), 200 * (1 + round))
    assert.isBelow(await leastLate(longer), SOON, 'longer')
    for (const ttl of [60_000, null]) {
      assert.isBelow(await leastLate(() => grant(ttl, 60)), SOON, `shorter than ${ttl}`)
    }
  })

  test('C8: a waiter who comes after an extension is granted at its end, too', async ({
    assert,
  }) => {
    const factory = createFactory({ retry: NO_POLL })
    const [holder, waiter] = [factory.createLock('k', 60_000), factory.createLock('k')]
    await holder.acquire()
    await factory.restoreLock(holder.serialize()).extend(80)
    assert.isBelow(await millisOf(() => waiter.acquire()), 5000)
  })

  test('C8: waiters of many keys are granted at their own times', async ({ assert }) => {
    const factory = createFactory({ retry: NO_POLL })
    // Far enough from each other for a server that is still being connected to.
    await withTime(200, async (unit) => {
      const granted: number[] = []
      const waiting = [4, 1, 3, 2, 5].map(async (place) => {
        await factory.createLock(`key ${place}`, place * unit).acquire()
        const waiter = factory.createLock(`key ${place}`)
        await waiter.acquire()
        granted.push(place)
        await waiter.release()
      })
      await Promise.all(waiting)
      assert.deepEqual(granted, [1, 2, 3, 4, 5])
    })
  })
})

test.group('waiting | memory store', () => {
  test('C13: a waiter that gives up leaves no queue entry and no key', async ({ assert }) => {
    const store = new MemoryStore()
    const factory = new LockFactory(store)
    const holder = factory.createLock('k')
    await holder.acquire()
    const abort = new AbortController()
    setMaxListeners(0, abort.signal)
    const waits = Array.from({ length: 50 }, (_, index) => {
      const lock = factory.createLock('k')
      if (index % 3 === 0) return lock.acquire({ retry: { timeout: 10 } })
      if (index % 3 === 1) return lock.acquire({ retry: { attempts: 2, delay: 10 } })
      return lock.acquire({ signal: abort.signal }).catch(() => false)
    })
    assert.deepEqual(store.census(), { leases: 1, waiters: 50 })
    await sleep(30)
    abort.abort()
    assert.notInclude(await Promise.all(waits), true)
    assert.deepEqual(store.census(), { leases: 1, waiters: 0 })
    await holder.release()
    assert.deepEqual(store.census(), { leases: 0, waiters: 0 })
  })

  test('C13: immediate attempts leave nothing either', async ({ assert }) => {
    const store = new MemoryStore()
    const factory = new LockFactory(store)
    await factory.createLock('k').acquire()
    for (let index = 0; index < 1000; index++) {
      await factory.createLock('k').acquireImmediately()
    }
    assert.deepEqual(store.census(), { leases: 1, waiters: 0 })
  })

  test('C8: what is granted is what the waiter asked for', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore())
    const [holder, waiter] = [factory.createLock('k'), factory.createLock('k', 7000)]
    await holder.acquire()
    const waiting = waiter.acquire()
    await holder.release()
    await waiting
    assert.isAtMost(waiter.getRemainingTime()!, 7000)
    assert.isAbove(waiter.getRemainingTime()!, 5000)
    await assert.rejects(() => holder.release(), E_LOCK_NOT_OWNED.message)
  })
})

forEachStore('giving up', ({ createFactory }) => {
  test('C13: a waiter that gives up leaves no timer behind', async ({ assert }) => {
    const timers = () =>
      process.getActiveResourcesInfo().filter((resource) => /Timeout|Immediate/.test(resource))
        .length
    const factory = createFactory()
    await factory.createLock('k', null).acquire()
    await sleep(20)
    const before = timers()
    const abort = new AbortController()
    const waits = [
      factory.createLock('k').acquire({ retry: { delay: 60_000, timeout: 10 } }),
      factory.createLock('k').acquire({ retry: { delay: 60_000 }, signal: abort.signal }),
      factory.createLock('k').acquire({ retry: { delay: 10, attempts: 2, timeout: 60_000 } }),
    ]
    setTimeout(() => abort.abort(), 10)
    await Promise.allSettled(waits)
    // Clients have timers of their own, that come and go.
    for (let looks = 0; looks < 100 && timers() > before; looks++) await sleep(20)
    assert.isAtMost(timers(), before)
  })
})
