import { test } from '@japa/runner'
import { E_LOCK_NOT_OWNED, LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import type { Lock } from 'loquet'

import { assertNotOwned, expire, sleep, untilExpired } from './observe.js'
import { forEachStore } from './stores_under_test.js'

forEachStore('ownership', ({ createStore, createFactory }) => {
  /** A lock that has expired, and the one that was acquired after it; in each way in which that can come about. */
  const takeovers: [
    title: string,
    take: (factory: LockFactory) => Promise<[old: Lock, next: Lock]>,
  ][] = [
    [
      'expiry',
      async (factory) => {
        const [old, next] = [factory.createLock('k', 100), factory.createLock('k')]
        await old.acquire()
        await untilExpired(old)
        await next.acquire()
        return [old, next]
      },
    ],
    [
      'expiry, by a waiter',
      async (factory) => {
        const [old, next] = [factory.createLock('k', 100), factory.createLock('k')]
        await old.acquire()
        await next.acquire({ retry: { delay: 5 } })
        return [old, next]
      },
    ],
    [
      'forceRelease',
      async (factory) => {
        const [old, next] = [factory.createLock('k'), factory.createLock('k')]
        await old.acquire()
        await factory.createLock('k').forceRelease()
        await next.acquire()
        return [old, next]
      },
    ],
    [
      'forceRelease, by a waiter',
      async (factory) => {
        const [old, next] = [factory.createLock('k'), factory.createLock('k')]
        await old.acquire()
        const waiting = next.acquire()
        await factory.createLock('k').forceRelease()
        await waiting
        return [old, next]
      },
    ],
  ]

  for (const [title, take] of takeovers) {
    test(`C2: after ${title} the new owner owns the lock fully, the old one not at all`, async ({
      assert,
    }) => {
      const store = createStore()
      const factory = new LockFactory(store)
      const [old, next] = await take(factory)
      const restoredOld = factory.restoreLock(old.serialize())
      assert.notEqual(old.getOwner(), next.getOwner())

      await assertNotOwned(assert, () => old.release())
      await assertNotOwned(assert, () => old.extend(60_000))
      await assertNotOwned(assert, () => restoredOld.release())
      await assertNotOwned(assert, () => restoredOld.extend(60_000))
      await assertNotOwned(assert, () => store.delete('k', old.getOwner()))
      await assertNotOwned(assert, () => store.extend('k', old.getOwner(), 60_000))
      assert.isTrue(await next.isLocked())
      assert.isFalse(next.isExpired())

      await next.extend(60_000)
      assert.isAbove(next.getRemainingTime()!, 50_000)
      await factory.restoreLock(next.serialize()).extend(90_000)
      await next.release()
      assert.isFalse(await next.isLocked())
    })
  }

  test('C2: the object whose lease expired owns its next one fully', async ({ assert }) => {
    const lock = createFactory().createLock('k', 60_000)
    await lock.acquire()
    await expire(lock)
    assert.isTrue(await lock.acquireImmediately())
    await lock.extend(90_000)
    assert.isAbove(lock.getRemainingTime()!, 70_000)
    await lock.release()
    assert.isFalse(await lock.isLocked())
  })

  test('C2: the store knows the new owner by the name that getOwner tells', async ({ assert }) => {
    const store = createStore()
    const factory = new LockFactory(store)
    await factory.createLock('k').acquire()
    await factory.createLock('k').forceRelease()
    const next = factory.createLock('k')
    await next.acquire()
    await store.extend('k', next.getOwner(), 60_000)
    await store.delete('k', next.getOwner())
    assert.isFalse(await next.isLocked())
  })

  const unheld: [title: string, make: (factory: LockFactory) => Promise<Lock>][] = [
    ['never acquired', async (factory) => factory.createLock('k', 60_000)],
    [
      'released already',
      async (factory) => {
        const lock = factory.createLock('k', 60_000)
        await lock.acquire()
        await lock.release()
        return lock
      },
    ],
    [
      'expired',
      async (factory) => {
        const lock = factory.createLock('k', 60_000)
        await lock.acquire()
        await expire(lock)
        return lock
      },
    ],
    [
      'freed by force through another object',
      async (factory) => {
        const lock = factory.createLock('k', 60_000)
        await lock.acquire()
        await factory.createLock('k').forceRelease()
        return lock
      },
    ],
    [
      'freed by force through itself',
      async (factory) => {
        const lock = factory.createLock('k', 60_000)
        await lock.acquire()
        await lock.forceRelease()
        return lock
      },
    ],
    [
      'restored from one that was never acquired',
      async (factory) => factory.restoreLock(factory.createLock('k', 60_000).serialize()),
    ],
    [
      'restored from one that has been released',
      async (factory) => {
        const lock = factory.createLock('k', 60_000)
        await lock.acquire()
        const serialized = lock.serialize()
        await lock.release()
        return factory.restoreLock(serialized)
      },
    ],
    [
      'restored from one that has expired',
      async (factory) => {
        const lock = factory.createLock('k', 60_000)
        await lock.acquire()
        const serialized = lock.serialize()
        await expire(lock)
        return factory.restoreLock(serialized)
      },
    ],
  ]
  for (const [title, make] of unheld) {
    test(`C3: release and extend of a lock that was ${title} are refused`, async ({ assert }) => {
      const factory = createFactory()
      const lock = await make(factory)
      await assertNotOwned(assert, () => lock.extend())
      await assertNotOwned(assert, () => lock.extend(5000))
      await assertNotOwned(assert, () => lock.release())
      assert.isFalse(await lock.isLocked(), 'nothing was revived')
      assert.isTrue(await factory.createLock('k').acquireImmediately())
    })
  }

  test('C3: release and extend of a lock that somebody else holds are refused', async ({
    assert,
  }) => {
    const factory = createFactory()
    const holder = factory.createLock('k')
    await holder.acquire()

    const never = factory.createLock('k', 60_000)
    const refused = factory.createLock('k', 60_000)
    assert.isFalse(await refused.acquireImmediately())
    for (const lock of [never, refused]) {
      await assertNotOwned(assert, () => lock.extend())
      await assertNotOwned(assert, () => lock.release())
    }
    const remaining = holder.getRemainingTime()!
    assert.isAbove(remaining, 10_000)
    await holder.release()
  })

  test('C3: extend does not revive an expired lease, and another may acquire it', async ({
    assert,
  }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', 60_000)
    await lock.acquire()
    await expire(lock)
    await assertNotOwned(assert, () => lock.extend('1m'))
    assert.isTrue(lock.isExpired())
    assert.isFalse(await lock.isLocked())
    assert.isTrue(await factory.createLock('k').acquireImmediately())
    await assertNotOwned(assert, () => lock.extend('1m'))
  })

  test('C3: of many releases of one lease at once exactly one succeeds', async ({ assert }) => {
    const factory = createFactory()
    for (let round = 0; round < 5; round++) {
      const lock = factory.createLock('k')
      await lock.acquire()
      const serialized = lock.serialize()
      const locks = Array.from({ length: 20 }, () => factory.restoreLock(serialized))
      const outcomes = await Promise.allSettled([lock, ...locks].map((each) => each.release()))
      assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') assert.instanceOf(outcome.reason, E_LOCK_NOT_OWNED)
      }
    }
  })

  test('C3: the methods of the store refuse in the same way', async ({ assert }) => {
    const store = createStore()
    await assertNotOwned(assert, () => store.delete('k', 'one'))
    await assertNotOwned(assert, () => store.extend('k', 'one', 100))
    await store.save('k', 'one', 60_000)
    await assertNotOwned(assert, () => store.delete('k', 'two'))
    await assertNotOwned(assert, () => store.extend('k', 'two', 100))
    await store.forceDelete('k')
    await assertNotOwned(assert, () => store.delete('k', 'one'))
    await assertNotOwned(assert, () => store.extend('k', 'one', 100))
    assert.isFalse(await store.exists('k'))
  })
})

test.group('ownership | memory store', () => {
  test('C3: expiry is decided when the store is asked, not when a timer fires', async ({
    assert,
  }) => {
    const factory = new LockFactory(new MemoryStore())
    const lock = factory.createLock('k', 20)
    await lock.acquire()
    // No timer can fire meanwhile.
    const end = performance.now() + 25
    while (performance.now() < end);
    await assertNotOwned(assert, () => lock.extend(5000))
    await assertNotOwned(assert, () => lock.release())
    assert.isTrue(await factory.createLock('k').acquireImmediately())
  })

  test('C3: a new lease in the place of an old one is not taken for it', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore())
    const old = factory.createLock('one')
    await old.acquire()
    await old.release()
    const next = factory.createLock('two')
    await next.acquire()
    await assertNotOwned(assert, () => old.release())
    await assertNotOwned(assert, () => old.extend(10))
    await sleep(20)
    assert.isTrue(await next.isLocked())
  })
})
