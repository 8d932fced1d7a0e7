import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { lowerQuartile, millisOf, sleep, until, withTime } from './observe.js'
import { AsyncStore, CountingMemoryStore, forEachStore, SyncStore } from './stores_under_test.js'

const NEVER = new Promise<never>(() => {})

/** A store whose answers to `save` come when the test wants them. */
class SlowSaveStore extends SyncStore {
  constructor(readonly pause: (call: number) => Promise<unknown>) {
    super()
  }

  override save(key: string, owner: string, ttl: number | null): any {
    return this.pause(this.saves.length).then(() => super.save(key, owner, ttl))
  }
}

forEachStore('retry', ({ isNative, createFactory }) => {
  test('C9: a timeout of 300 ms gives up after 300 and by 310', async ({ assert }) => {
    const factory = createFactory({ retry: { timeout: 300 } })
    const measure = async () => {
      const tries = Array.from({ length: 9 }, async (_, index) => {
        const key = `key ${index}`
        await factory.createLock(key, null).acquire()
        // Apart from each other, so that they don't share one late timer.
        await sleep(index * 7)
        return millisOf(() => factory.createLock(key).acquire())
      })
      const spans = await Promise.all(tries)
      for (let index = 0; index < 9; index++)
        await factory.createLock(`key ${index}`).forceRelease()
      return spans
    }
    // By 310 on an idle machine: on a busy one some are late by no fault of the lock.
    let typical = Number.POSITIVE_INFINITY
    for (let round = 0; round < 15 && typical > 310; round++) {
      const spans = await measure()
      assert.isAbove(Math.min(...spans), 300)
      typical = lowerQuartile(spans)
    }
    assert.isAtMost(typical, 310)
  }).timeout(40_000)

  test('C9: it never gives up early, whatever the timeout', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k', null).acquire()
    const timeouts = Array.from({ length: 60 }, (_, index) => 1 + index)
    const early = await Promise.all(
      timeouts.map(async (timeout) => {
        const lock = factory.createLock('k')
        return (await millisOf(() => lock.acquire({ retry: { timeout, delay: 7 } }))) <= timeout
      })
    )
    assert.deepEqual(
      timeouts.filter((_, index) => early[index]),
      []
    )
  })

  test('C9: waiters with different timeouts give up in their own order', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k', null).acquire()
    const order: number[] = []
    const timeouts = [160, 40, 120, 80]
    const waits = timeouts.map(async (timeout) => {
      const start = Date.now()
      const acquired = await factory.createLock('k').acquire({ retry: { timeout, delay: 1000 } })
      order.push(timeout)
      assert.isFalse(acquired)
      assert.isAbove(Date.now() - start, timeout)
    })
    await Promise.all(waits)
    assert.deepEqual(order, [40, 80, 120, 160])
  })

  test('C9: who comes first is no obstacle to giving up, nor to waiting on', async ({ assert }) => {
    const factory = createFactory()
    const holder = factory.createLock('k')
    await holder.acquire()
    const patient = factory.createLock('k').acquire()
    const impatient = factory.createLock('k').acquire({ retry: { timeout: 30, delay: 1000 } })
    assert.isFalse(await impatient)
    await holder.release()
    assert.isTrue(await patient)
  })

  test('C9: the timeout is for the acquire, not for the callback of run', async ({ assert }) => {
    const factory = createFactory()
    await withTime(20, async (timeout) => {
      const working = async () => {
        await sleep(timeout * 2)
        return 'done'
      }
      const outcome = await factory.createLock('k').run(working, { retry: { timeout } })
      assert.deepEqual(outcome, [true, 'done'])
    })
  })

  test('C9: a lock that becomes free in time is acquired', async ({ assert }) => {
    const factory = createFactory({ retry: { timeout: 9000, delay: 5 } })
    const holder = factory.createLock('k')
    await holder.acquire()
    const waiting = factory.createLock('k').acquire()
    await sleep(30)
    await holder.release()
    assert.isTrue(await waiting)
  })

  test('C9: attempts and timeout: whichever is used up first', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k', null).acquire()
    const lock = factory.createLock('k')
    const byTimeout = await millisOf(() =>
      lock.acquire({ retry: { attempts: 1000, delay: 5, timeout: 60 } })
    )
    assert.isAbove(byTimeout, 60)
    const byAttempts = await millisOf(() =>
      lock.acquire({ retry: { attempts: 3, delay: 20, timeout: 60_000 } })
    )
    assert.isAtLeast(byAttempts, 39)
    assert.isBelow(byAttempts, 5000)
  })

  test('C10: attempts: n means n chances, spaced by delay', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k', null).acquire()
    for (const [attempts, delay] of [
      [1, 10_000],
      [2, 40],
      [5, 20],
    ]) {
      const millis = await millisOf(() =>
        factory.createLock('k').acquire({ retry: { attempts, delay } })
      )
      // Whole milliseconds of Date.now may show one less.
      assert.isAtLeast(millis, (attempts - 1) * delay - 1)
      assert.isBelow(millis, (attempts - 1) * delay + 5000)
    }
  })

  test('C10: a lock that becomes free before the last chance is acquired', async ({ assert }) => {
    const factory = createFactory()
    const holder = factory.createLock('k', 50)
    await holder.acquire()
    assert.isTrue(await factory.createLock('k').acquire({ retry: { attempts: 50, delay: 10 } }))
  })

  test('C10: a delay of zero is allowed', async ({ assert }) => {
    const factory = createFactory({ retry: { delay: 0 } })
    const holder = factory.createLock('k', 60_000)
    await holder.acquire()
    assert.isFalse(await factory.createLock('k').acquire({ retry: { attempts: 3 } }))
    const waiting = factory.createLock('k').acquire()
    await sleep(20)
    await holder.release()
    assert.isTrue(await waiting)
  })

  test('C10: of two waiters neither has fewer chances than it wants', async ({ assert }) => {
    const factory = createFactory()
    const holder = factory.createLock('k', null)
    await holder.acquire()
    const retry = { attempts: 3, delay: 30 }
    const spans = await Promise.all(
      [1, 2].map(() => millisOf(() => factory.createLock('k').acquire({ retry })))
    )
    for (const millis of spans) {
      assert.isAtLeast(millis, 59)
      assert.isBelow(millis, 5000)
    }
  })

  if (isNative) {
    test('C10: an expiry within the span of the chances is not missed', async ({ assert }) => {
      const factory = createFactory()
      await factory.createLock('k', 60).acquire()
      const waiting = factory.createLock('k').acquire({ retry: { attempts: 2, delay: 5000 } })
      assert.isTrue(await waiting)
    })
  }
})

test.group('retry | saves of custom stores', () => {
  const stores = [
    ['synchronous', () => new SyncStore(), (store: any) => store.saves.length],
    ['asynchronous', () => new AsyncStore(), (store: any) => store.table.saves.length],
    ['overridden', () => new CountingMemoryStore(), (store: any) => store.saves],
  ] as const

  for (const [name, createStore, countOf] of stores) {
    test(`C10: attempts: n is exactly n calls of save: ${name}`, async ({ assert }) => {
      const store = createStore()
      const factory = new LockFactory(store)
      await factory.createLock('k', null).acquire()
      for (const attempts of [1, 2, 5]) {
        const before = countOf(store)
        assert.isFalse(await factory.createLock('k').acquire({ retry: { attempts, delay: 10 } }))
        assert.equal(countOf(store) - before, attempts, `attempts: ${attempts}`)
        await sleep(30)
        assert.equal(countOf(store) - before, attempts, 'none afterwards')
      }
      const before = countOf(store)
      await factory.createLock('k').acquireImmediately()
      await factory.createLock('k').runImmediately(() => {})
      assert.equal(countOf(store) - before, 2)
    })
  }

  test('C10: the calls of save are spaced by delay', async ({ assert }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store)
    await factory.createLock('k', null).acquire()
    await factory.createLock('k').acquire({ retry: { attempts: 4, delay: 40 } })
    const [, ...times] = store.saves.map(({ at }) => at)
    assert.lengthOf(times, 4)
    for (let index = 1; index < times.length; index++) {
      assert.isAtLeast(times[index] - times[index - 1], 39)
    }
  })

  test('C10: no waiter has more than its n calls of save, however many wait', async ({
    assert,
  }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store)
    await factory.createLock('k', null).acquire()
    const waits = Array.from({ length: 5 }, () =>
      factory.createLock('k').acquire({ retry: { attempts: 4, delay: 15 } })
    )
    assert.deepEqual(await Promise.all(waits), [false, false, false, false, false])
    const [, first] = store.saves
    const counts = new Map<string, number>()
    for (const { owner } of store.saves) counts.set(owner, (counts.get(owner) ?? 0) + 1)
    assert.equal(counts.get(first.owner), 4)
    assert.isAtMost(Math.max(...counts.values()), 4)
  })

  test('C10: a free lock costs one call of save, whatever the policy', async ({ assert }) => {
    const store = new SyncStore()
    const lock = new LockFactory(store).createLock('k')
    await lock.acquire({ retry: { attempts: 5, delay: 1 } })
    await sleep(20)
    assert.lengthOf(store.saves, 1)
  })

  test('C9: a save that never answers does not hold up the timeout', async ({ assert }) => {
    const factory = new LockFactory(new SlowSaveStore(() => NEVER))
    const spans = [
      millisOf(() => factory.createLock('one').acquire({ retry: { timeout: 100 } })),
      millisOf(() => factory.createLock('two').acquire({ retry: { timeout: 100, attempts: 1 } })),
      millisOf(() => factory.createLock('two').acquire({ retry: { timeout: 60 } })),
      millisOf(() => factory.createLock('one').run(() => {}, { retry: { timeout: 60 } })),
    ]
    const millis = await Promise.all(spans)
    for (const [index, timeout] of [100, 100, 60, 60].entries()) {
      assert.isAbove(millis[index], timeout)
      assert.isBelow(millis[index], timeout + 1000)
    }
  })

  test('C9: time inside save counts, and a lease that comes too late is deleted', async ({
    assert,
  }) => {
    let answer!: () => void
    const store = new SlowSaveStore(
      () =>
        new Promise<void>((resolve) => {
          answer = resolve
        })
    )
    const lock = new LockFactory(store).createLock('k')
    const millis = await millisOf(async () =>
      assert.isFalse(await lock.acquire({ retry: { timeout: 80 } }))
    )
    assert.isAbove(millis, 80)
    answer()
    await until(() => store.deletes.length > 0)
    assert.isUndefined(store.holderOf('k'))
    assert.deepEqual(store.deletes, [['k', store.saves[0].owner]])
    assert.isNull(lock.getRemainingTime())
  })

  test('C9: a lease that comes too late for one waiter does not keep the next one waiting', async ({
    assert,
  }) => {
    const store = new SlowSaveStore((call) => sleep(call === 0 ? 80 : 0))
    const factory = new LockFactory(store, { retry: { delay: 60_000 } })
    const first = factory.createLock('k', null).acquire({ retry: { timeout: 20 } })
    const next = factory.createLock('k').acquire({ retry: { timeout: 3000 } })
    assert.isFalse(await first)
    assert.isTrue(await next)
  })
})

test.group('retry | defaults', () => {
  test('C7: the retry settings of a factory are the defaults of its locks', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore(), {
      retry: { attempts: 3, delay: 20, timeout: 5000 },
    })
    await factory.createLock('k').acquire()
    const millis = await millisOf(() => factory.createLock('k').acquire())
    assert.isAtLeast(millis, 39)
    assert.isBelow(millis, 4000)
  })

  test('C7: the settings of an acquire override them one by one', async ({ assert }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store, { retry: { attempts: 2, delay: 5 } })
    await factory.createLock('k').acquire()

    await factory.createLock('k').acquire({ retry: { attempts: 4 } })
    assert.lengthOf(store.saves, 1 + 4)
    const millis = await millisOf(() => factory.createLock('k').acquire({ retry: { delay: 60 } }))
    assert.lengthOf(store.saves, 1 + 4 + 2)
    assert.isAtLeast(millis, 59)
    await factory.createLock('k').run(() => {}, { retry: { attempts: 3 } })
    assert.lengthOf(store.saves, 1 + 4 + 2 + 3)
    await factory.createLock('k').acquire({ retry: {} })
    assert.lengthOf(store.saves, 1 + 4 + 2 + 3 + 2)
  })

  test('C7: a timeout of null takes a default one away', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore(), { retry: { timeout: 10 } })
    await factory.createLock('k', 200).acquire()
    assert.isFalse(await factory.createLock('k').acquire())
    assert.isTrue(await factory.createLock('k').acquire({ retry: { timeout: null } }))
  })

  test('C7: without any settings an acquire waits as long as it takes', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore())
    await factory.createLock('k', 400).acquire()
    assert.isTrue(await factory.createLock('k').acquire())
  })
})

test.group('retry | one chance', () => {
  test('C9: a timeout of the factory ends acquireImmediately and runImmediately while the store hangs', async ({
    assert,
  }) => {
    const factory = new LockFactory(new SlowSaveStore(() => NEVER), { retry: { timeout: 50 } })
    const start = Date.now()
    assert.isFalse(await factory.createLock('one').acquireImmediately())
    assert.isAbove(Date.now() - start, 50)
    assert.deepEqual(await factory.createLock('two').runImmediately(() => 'never'), [false, null])
  })
})
