import { test } from '@japa/runner'
import { InvalidArgumentsException } from '@poppinss/exception'
import { Lock, LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { errorOf, expire, isPending, rejectionOf, sleep, until, untilExpired } from './observe.js'
import { forEachStore } from './stores_under_test.js'

forEachStore('lease', ({ createStore, createFactory }) => {
  test('C14: before the first acquire there is nothing to expire', async ({ assert }) => {
    const lock = createFactory().createLock('k', 1000)
    assert.isFalse(lock.isExpired())
    assert.isNull(lock.getRemainingTime())
  })

  test('C14: after an acquire the remaining time is that of the lease', async ({ assert }) => {
    const lock = createFactory().createLock('k', 60_000)
    await lock.acquire()
    const first = lock.getRemainingTime()!
    assert.isAtMost(first, 60_000)
    assert.isAbove(first, 40_000)
    assert.isFalse(lock.isExpired())
    await sleep(30)
    assert.isAtMost(lock.getRemainingTime()!, first - 29)
  })

  test('C14: once expired it says so, and the remaining time is negative', async ({ assert }) => {
    const lock = createFactory().createLock('k', 60_000)
    await lock.acquire()
    await lock.extend(20)
    await sleep(60)
    assert.isTrue(lock.isExpired())
    assert.isBelow(lock.getRemainingTime()!, 0)
    const before = lock.getRemainingTime()!
    await sleep(10)
    assert.isBelow(lock.getRemainingTime()!, before)
  })

  test('C14: isExpired and the remaining time agree, and a lease is never believed longer than it is', async ({
    assert,
  }) => {
    const lock = createFactory().createLock('k', 60_000)
    await lock.acquire()
    await lock.extend(40)
    await until(async () => {
      // Time goes by between two questions, so the later one may only be the later answer.
      if (lock.isExpired()) assert.isAtMost(lock.getRemainingTime()!, 0)
      const isLocked = await lock.isLocked()
      if (!lock.isExpired()) assert.isTrue(isLocked)
      return !isLocked
    })
    assert.isTrue(lock.isExpired())
  })

  test('C14: after release they are as before the first acquire', async ({ assert }) => {
    const lock = createFactory().createLock('k', 60_000)
    await lock.acquire()
    await lock.release()
    assert.isFalse(lock.isExpired())
    assert.isNull(lock.getRemainingTime())
    await lock.run(() => assert.isAbove(lock.getRemainingTime()!, 0))
    assert.isFalse(lock.isExpired())
    assert.isNull(lock.getRemainingTime())
  })

  test('C14: a lock without a TTL never expires', async ({ assert }) => {
    const lock = createFactory().createLock('k', null)
    await lock.acquire()
    assert.isFalse(lock.isExpired())
    assert.isNull(lock.getRemainingTime())
  })

  test('C14: extend counts from now on, shorter or longer', async ({ assert }) => {
    const lock = createFactory().createLock('k', 50_000)
    await lock.acquire()
    await lock.extend(90_000)
    assert.isAbove(lock.getRemainingTime()!, 70_000)
    assert.isAtMost(lock.getRemainingTime()!, 90_000)
    await lock.extend('20s')
    assert.isAtMost(lock.getRemainingTime()!, 20_000)
    await lock.extend()
    assert.isAbove(lock.getRemainingTime()!, 30_000)
    assert.isAtMost(lock.getRemainingTime()!, 50_000)
    await expire(lock)
    assert.isTrue(lock.isExpired())
  })

  test('C14: a failed extend or release changes nothing', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', 60_000)
    await lock.acquire()
    await expire(lock)
    await rejectionOf(lock.extend(60_000))
    assert.isTrue(lock.isExpired())
    await rejectionOf(lock.release())
    assert.isTrue(lock.isExpired())
    assert.isBelow(lock.getRemainingTime()!, 0)
  })

  test('C14: a waiting or failed acquire changes nothing', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', 60_000)
    await lock.acquire()
    const assertUnchanged = () => {
      assert.isAbove(lock.getRemainingTime()!, 40_000)
      assert.isFalse(lock.isExpired())
    }
    const abort = new AbortController()
    const waiting = lock.acquire({ signal: abort.signal })
    assert.isTrue(await isPending(waiting))
    assertUnchanged()
    abort.abort()
    await rejectionOf(waiting)
    assertUnchanged()
    assert.isFalse(await lock.acquire({ retry: { timeout: 60 } }))
    assertUnchanged()
    assert.isFalse(await lock.acquireImmediately())
    assertUnchanged()

    const other = factory.createLock('k', 60_000)
    await other.acquire({ retry: { timeout: 10 } })
    await rejectionOf(other.acquire({ signal: AbortSignal.timeout(10) }))
    assert.isNull(other.getRemainingTime())
    assert.isFalse(other.isExpired())
  })

  test('C14: an expired object tells of its old lease until it acquires again', async ({
    assert,
  }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', 60_000)
    await lock.acquire()
    await expire(lock)
    const holder = factory.createLock('k')
    await holder.acquire()
    const waiting = lock.acquire()
    assert.isTrue(lock.isExpired())
    await holder.release()
    await waiting
    assert.isFalse(lock.isExpired())
    assert.isAbove(lock.getRemainingTime()!, 0)
  })

  test('C14: it is true already when acquire resolves', async ({ assert }) => {
    const factory = createFactory()
    const [holder, waiter] = [factory.createLock('k'), factory.createLock('k', 60_000)]
    await holder.acquire()
    const seen = waiter.acquire().then(() => [waiter.getRemainingTime(), waiter.isExpired()])
    await holder.release()
    const [remaining, isExpired] = await seen
    assert.isAbove(remaining as number, 0)
    assert.isFalse(isExpired)
  })

  test('C14: isLocked tells of anybody, isExpired of this object', async ({ assert }) => {
    const factory = createFactory()
    const [holder, other] = [factory.createLock('k', 60_000), factory.createLock('k', 60_000)]
    assert.isFalse(await other.isLocked())
    await holder.acquire()
    assert.isTrue(await other.isLocked())
    assert.isNull(other.getRemainingTime())
    await holder.release()
    assert.isFalse(await other.isLocked())
  })

  test('C15: serialize is plain JSON', async ({ assert }) => {
    const lock = createFactory().createLock('some key', '10s')
    const before = lock.serialize()
    assert.deepEqual(before, {
      key: 'some key',
      owner: lock.getOwner(),
      ttl: 10_000,
      expirationTime: null,
    })

    const start = Date.now()
    await lock.acquire()
    const serialized = lock.serialize()
    assert.equal(Object.getPrototypeOf(serialized), Object.prototype)
    assert.deepEqual(Object.keys(serialized).toSorted(), ['expirationTime', 'key', 'owner', 'ttl'])
    assert.deepEqual(JSON.parse(JSON.stringify(serialized)), serialized)
    assert.deepEqual(JSON.parse(JSON.stringify(lock)), serialized)
    assert.equal(serialized.key, 'some key')
    assert.equal(serialized.owner, lock.getOwner())
    assert.equal(serialized.ttl, 10_000)
    assert.isTrue(Number.isInteger(serialized.expirationTime))
    assert.isAtLeast(serialized.expirationTime!, start + 9990)
    assert.isAtMost(serialized.expirationTime!, Date.now() + 10_001)

    await lock.release()
    assert.isNull(lock.serialize().expirationTime)
  })

  test('C15: what is restored can tell the remaining time, extend and release', async ({
    assert,
  }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', 50_000)
    await lock.acquire()
    const restored = factory.restoreLock(JSON.parse(JSON.stringify(lock.serialize())))
    assert.instanceOf(restored, Lock)
    assert.equal(restored.getOwner(), lock.getOwner())
    assert.isFalse(restored.isExpired())
    assert.approximately(restored.getRemainingTime()!, lock.getRemainingTime()!, 1000)
    assert.deepEqual(Object.keys(restored.serialize()), Object.keys(lock.serialize()))

    await restored.extend(90_000)
    assert.isAbove(restored.getRemainingTime()!, 60_000)
    await restored.extend()
    assert.isAtMost(restored.getRemainingTime()!, 50_000)
    await restored.release()
    assert.isNull(restored.getRemainingTime())
    assert.isFalse(await lock.isLocked())
  })

  test('C15: a factory that is new, on the same store, restores it too', async ({ assert }) => {
    const store = createStore()
    const lock = new LockFactory(store).createLock('k', 60_000)
    await lock.acquire()
    const restored = new LockFactory(store).restoreLock(lock.serialize())
    assert.isTrue(await restored.isLocked())
    await restored.release()
    assert.isFalse(await lock.isLocked())
  })

  test('C15: a lock without a TTL can be restored and released', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', null)
    await lock.acquire()
    const serialized = lock.serialize()
    assert.deepEqual([serialized.ttl, serialized.expirationTime], [null, null])
    const restored = factory.restoreLock(serialized)
    assert.isNull(restored.getRemainingTime())
    assert.isFalse(restored.isExpired())
    await restored.extend(60_000)
    assert.isAbove(restored.getRemainingTime()!, 50_000)
    await restored.release()
    assert.isFalse(await lock.isLocked())
  })

  test('C15: what is restored after its end is expired', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', 60_000)
    await lock.acquire()
    await lock.extend(25)
    const serialized = lock.serialize()
    await untilExpired(lock)
    await sleep(5)
    const restored = factory.restoreLock(serialized)
    assert.isTrue(restored.isExpired())
    assert.isBelow(restored.getRemainingTime()!, 0)
  })

  test('C17: extend of a lock without a TTL needs a duration', async ({ assert }) => {
    const lock = createFactory().createLock('k', null)
    await lock.acquire()
    for (const call of [() => lock.extend(), () => lock.extend(null)]) {
      const error = await errorOf(call)
      assert.instanceOf(error, InvalidArgumentsException)
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      assert.match(error.message, /TTL/)
    }
    assert.isNull(lock.getRemainingTime())
    await lock.extend(60_000)
    assert.isAbove(lock.getRemainingTime()!, 50_000)
  })

  test('C17: the same for one that is restored or not held', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', null)
    assert.instanceOf(await errorOf(() => lock.extend()), InvalidArgumentsException)
    const restored = factory.restoreLock(lock.serialize())
    assert.instanceOf(await errorOf(() => restored.extend()), InvalidArgumentsException)
  })
})

test.group('lease | time', () => {
  test('C14: the wall clock does not decide', async ({ assert }) => {
    const lock = new LockFactory(new MemoryStore()).createLock('k', 1000)
    await lock.acquire()
    const now = Date.now
    try {
      Date.now = () => now() + 3_600_000
      assert.isFalse(lock.isExpired())
      assert.isAbove(lock.getRemainingTime()!, 0)
      assert.isTrue(await lock.isLocked())
    } finally {
      Date.now = now
    }
  })

  test('C14: a store that answers late does not make the lease longer', async ({ assert }) => {
    const store = {
      save: () => sleep(60, true),
      delete: async () => {},
      forceDelete: async () => {},
      exists: async () => true,
      extend: () => sleep(60),
    }
    const lock = new LockFactory(store).createLock('k', 1000)
    await lock.acquire()
    assert.isAtMost(lock.getRemainingTime()!, 945)
    await lock.extend(1000)
    assert.isAtMost(lock.getRemainingTime()!, 945)
  })
})
