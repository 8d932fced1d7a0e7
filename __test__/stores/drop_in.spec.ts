import { setImmediate as turn } from 'node:timers/promises'

import { test } from '@japa/runner'
import * as peer from '@verrou/core'
import { MemoryStore as PeerMemoryStore } from '@verrou/core/drivers/memory'
import { registerStoreTestSuite as registerPeerSuite } from '@verrou/core/test_suite'
import * as loquet from 'loquet'
import { LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { runCollected } from './collected_suite.js'
import {
  assertNotOwned,
  errorOf,
  isPending,
  millisOf,
  rejectionOf,
  sleep,
} from '../unit/observe.js'
import { AsyncStore } from '../unit/stores_under_test.js'

test.group("Drop-in | the peer's suite", () => {
  test('it passes for our memory store, private and shared', async ({ assert }) => {
    let spaces = 0
    const stores = [
      () => new MemoryStore(),
      () => new MemoryStore({ shared: `the peer's ${spaces++}` }),
    ]
    const runs = stores.map(async (createStore) => {
      const register = (collect: typeof test) =>
        registerPeerSuite({ test: collect, createStore } as never)
      // Some of its tests sleep for exactly as long as a lease lasts, and a timer may be a little early.
      const { count, failures } = await runCollected(assert, register, { times: 3 })
      assert.deepEqual(failures, {})
      assert.isAtLeast(count, 25)
    })
    await Promise.all(runs)
  })
})

test.group("Drop-in | memory store under the peer's LockFactory", () => {
  const createFactory = (options?: ConstructorParameters<typeof peer.LockFactory>[1]) =>
    new peer.LockFactory(new MemoryStore(), { retry: { delay: 2 }, ...options })

  test('C1: of many tasks no two are inside at once', async ({ assert }) => {
    const factory = createFactory()
    let [inside, most, done] = [0, 0, 0]
    const tasks = Array.from({ length: 60 }, () =>
      factory.createLock('k').run(async () => {
        most = Math.max(most, ++inside)
        await turn()
        inside--
        done++
      })
    )
    await Promise.all(tasks)
    assert.deepEqual([most, done], [1, 60])
  })

  test('C2: after expiry and forceRelease the new owner owns the lock, the old one not', async ({
    assert,
  }) => {
    const factory = createFactory()
    for (const free of ['expiry', 'force']) {
      const [old, next] = [factory.createLock('k', 30), factory.createLock('k')]
      await old.acquire()
      if (free === 'expiry') await sleep(50)
      else await next.forceRelease()
      assert.isTrue(await next.acquireImmediately())
      await assertNotOwned(assert, () => old.release())
      await assertNotOwned(assert, () => old.extend(1000))
      assert.isTrue(await next.isLocked())
      await next.extend(60_000)
      await next.release()
      assert.isFalse(await next.isLocked())
    }
  })

  test('C3: release of a lock that is not held is refused', async ({ assert }) => {
    const lock = createFactory().createLock('k', 1000)
    await assertNotOwned(assert, () => lock.release())
    await assertNotOwned(assert, () => lock.extend())
    await lock.acquire()
    await lock.release()
    await assertNotOwned(assert, () => lock.release())
  })

  test('locks of both packages on one store exclude each other and restore each other', async ({
    assert,
  }) => {
    const store = new MemoryStore()
    const [ours, theirs] = [new LockFactory(store), new peer.LockFactory(store)]
    const lock = theirs.createLock('k', 60_000)
    await lock.acquire()
    assert.isFalse(await ours.createLock('k').acquireImmediately())
    const waiting = ours.createLock('k').acquire({ retry: { delay: 60_000 } })
    assert.isTrue(await isPending(waiting))
    await ours.restoreLock(lock.serialize()).release()
    assert.isTrue(await waiting)
    assert.isFalse(await theirs.createLock('k').acquireImmediately())
  })

  test('C8: a waiter of ours is granted at once when the peer releases', async ({ assert }) => {
    const store = new MemoryStore()
    const lock = new peer.LockFactory(store).createLock('k')
    await lock.acquire()
    const waiting = new LockFactory(store, { retry: { delay: 60_000 } }).createLock('k').acquire()
    await lock.release()
    assert.isBelow(await millisOf(() => waiting), 5000)
  })
})

test.group("Drop-in | the peer's memory store under our LockFactory", () => {
  test('C1: of many tasks no two are inside at once, and they are served in order', async ({
    assert,
  }) => {
    const factory = new LockFactory(new PeerMemoryStore(), { retry: { delay: 60_000 } })
    let [inside, most] = [0, 0]
    const order: number[] = []
    const numbers = Array.from({ length: 60 }, (_, index) => index)
    const tasks = numbers.map((number) =>
      factory.createLock('k').run(async () => {
        most = Math.max(most, ++inside)
        await turn()
        order.push(number)
        inside--
      })
    )
    await Promise.all(tasks)
    assert.equal(most, 1)
    assert.deepEqual(order, numbers)
  })

  test('C7: acquire, release, run, refusals', async ({ assert }) => {
    const factory = new LockFactory(new PeerMemoryStore())
    const [lock, other] = [factory.createLock('k'), factory.createLock('k')]
    assert.isTrue(await lock.acquire())
    assert.isFalse(await other.acquireImmediately())
    assert.isFalse(await other.acquire({ retry: { attempts: 3, delay: 5 } }))
    assert.isFalse(await other.acquire({ retry: { timeout: 20 } }))
    assert.deepEqual(await other.runImmediately(() => 'never'), [false, null])
    assert.isTrue(await other.isLocked())
    assert.instanceOf(await errorOf(() => other.release()), peer.E_LOCK_NOT_OWNED)
    await lock.release()
    assert.deepEqual(await other.run(() => 'done'), [true, 'done'])
    const reason = new Error('from the callback')
    assert.strictEqual(await rejectionOf(other.run(() => Promise.reject(reason))), reason)
    assert.isFalse(await other.isLocked())
  })

  test('C8: a waiter is granted at expiry, without a poll', async ({ assert }) => {
    const factory = new LockFactory(new PeerMemoryStore(), { retry: { delay: 60_000 } })
    for (const key of ['one', 'two', 'three', 'four', 'five']) {
      await factory.createLock(key, 40).acquire()
      assert.isTrue(await factory.createLock(key).acquire({ retry: { timeout: 3000 } }))
    }
  })

  test('C15: serialize and restore', async ({ assert }) => {
    const store = new PeerMemoryStore()
    const lock = new LockFactory(store).createLock('k')
    await lock.acquire()
    await new peer.LockFactory(store).restoreLock(lock.serialize()).release()
    assert.isFalse(await lock.isLocked())
  })
})

test.group('Drop-in | names', () => {
  test('everything that the peers export is there', async ({ assert }) => {
    assert.includeMembers(Object.keys(loquet), Object.keys(peer))
    assert.includeMembers(Object.keys(loquet), Object.keys(await import('adonis-lock')))
    assert.includeMembers(
      Object.keys(await import('loquet/drivers/memory')),
      Object.keys(await import('@verrou/core/drivers/memory'))
    )
    assert.includeMembers(
      Object.keys(await import('loquet/test_suite')),
      Object.keys(await import('@verrou/core/test_suite'))
    )
  })

  test('so are the methods of their classes', async ({ assert }) => {
    const methods = (of: { prototype: object }) => Object.getOwnPropertyNames(of.prototype)
    assert.includeMembers(methods(loquet.Lock), methods(peer.Lock))
    assert.includeMembers(methods(loquet.LockFactory), methods(peer.LockFactory))
    assert.includeMembers(methods(loquet.Verrou), methods(peer.Verrou))
    for (const method of ['save', 'delete', 'forceDelete', 'exists', 'extend'] as const) {
      assert.isFunction(MemoryStore.prototype[method])
      assert.equal(MemoryStore.prototype[method].length, PeerMemoryStore.prototype[method].length)
    }
  })

  test('a lock that the peer has serialized is restored, and the other way round', async ({
    assert,
  }) => {
    const store = new AsyncStore()
    const [ours, theirs] = [new LockFactory(store), new peer.LockFactory(store)]
    for (const [from, to] of [
      [ours, theirs],
      [theirs, ours],
    ]) {
      const lock = from.createLock('k', 60_000)
      await lock.acquire()
      const restored = to.restoreLock(JSON.parse(JSON.stringify(lock.serialize())))
      assert.isAbove(restored.getRemainingTime()!, 50_000)
      await restored.extend(30_000)
      await restored.release()
      assert.isFalse(await lock.isLocked())
    }
  })
})
