import { test } from '@japa/runner'
import { E_LOCK_NOT_OWNED, LockFactory } from 'loquet'
import type { LockStore } from 'loquet/types'

import { rejectionOf, sleep } from './observe.js'
import { AsyncStore, SyncStore } from './stores_under_test.js'

/** What people throw. */
const REASONS = [
  new Error('no connection'),
  Object.assign(new TypeError('with a code'), { code: 'ECONNREFUSED', errno: -111 }),
  Object.freeze(new RangeError('frozen')),
  new E_LOCK_NOT_OWNED(),
  'a text',
  '',
  42,
  0,
  null,
  undefined,
  false,
  { any: 'object' },
  Symbol('reason'),
]

const WAYS = {
  'thrown': (reason: unknown) => () => {
    throw reason
  },
  'rejected': (reason: unknown) => () => Promise.reject(reason),
  'rejected later': (reason: unknown) => async () => {
    await sleep(1)
    throw reason
  },
} as const

test.group('errors of a custom store', () => {
  for (const [title, way] of Object.entries(WAYS)) {
    const failing = (method: Exclude<keyof LockStore, 'fencing'>, reason: unknown) => {
      const store = new SyncStore()
      store[method] = way(reason) as never
      return new LockFactory(store, { retry: { delay: 5 } })
    }

    test(`C21: what save has ${title} reaches acquire and run as it is`, async ({ assert }) => {
      for (const reason of REASONS) {
        const lock = failing('save', reason).createLock('k')
        assert.strictEqual(await rejectionOf(lock.acquire()), reason)
        assert.strictEqual(await rejectionOf(lock.acquireImmediately()), reason)
        assert.strictEqual(await rejectionOf(lock.acquire({ retry: { timeout: 1000 } })), reason)
        assert.strictEqual(await rejectionOf(lock.run(() => assert.fail())), reason)
        assert.strictEqual(await rejectionOf(lock.runImmediately(() => assert.fail())), reason)
        assert.isNull(lock.getRemainingTime())
        assert.isFalse(await lock.isLocked())
      }
    })

    test(`C21: what delete has ${title} reaches release and run as it is`, async ({ assert }) => {
      for (const reason of REASONS) {
        const factory = failing('delete', reason)
        const lock = factory.createLock('k')
        await lock.acquire()
        assert.strictEqual(await rejectionOf(lock.release()), reason)
        assert.isTrue(await lock.isLocked())
        assert.isAbove(lock.getRemainingTime()!, 0, 'it may still be held')
        assert.isFalse(lock.isHeld(), 'C26: it may be held no longer')
        assert.strictEqual(await rejectionOf(factory.createLock('run').run(() => 'done')), reason)
        assert.strictEqual(
          await rejectionOf(factory.restoreLock(lock.serialize()).release()),
          reason
        )
      }
    })

    test(`C21: what the other methods have ${title} comes as it is`, async ({ assert }) => {
      for (const reason of REASONS) {
        const extending = failing('extend', reason).createLock('k', 60_000)
        await extending.acquire()
        assert.strictEqual(await rejectionOf(extending.extend(120_000)), reason)
        assert.isAbove(extending.getRemainingTime()!, 50_000)
        assert.isAtMost(extending.getRemainingTime()!, 60_000)
        await extending.release()
        const asking = failing('exists', reason).createLock('k')
        assert.strictEqual(await rejectionOf(asking.isLocked()), reason)
        const forcing = failing('forceDelete', reason).createLock('k')
        assert.strictEqual(await rejectionOf(forcing.forceRelease()), reason)
      }
    })
  }

  test('C21: calls return promises, whatever the store throws', async ({ assert }) => {
    const store = new SyncStore()
    for (const method of ['save', 'delete', 'forceDelete', 'exists', 'extend'] as const) {
      store[method] = WAYS.thrown('reason') as never
    }
    const lock = new LockFactory(store).createLock('k')
    const calls = [
      () => lock.acquire(),
      () => lock.acquireImmediately(),
      () => lock.run(() => {}),
      () => lock.runImmediately(() => {}),
      () => lock.release(),
      () => lock.forceRelease(),
      () => lock.extend(5),
      () => lock.isLocked(),
    ]
    for (const call of calls) {
      const returned = call()
      assert.instanceOf(returned, Promise)
      assert.equal(await rejectionOf(returned), 'reason')
    }
  })

  test('C21: an error is for the one who asked; who waits behind asks for itself', async ({
    assert,
  }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store, { retry: { delay: 10 } })
    const holder = factory.createLock('k')
    await holder.acquire()
    const save = store.save.bind(store)
    const reason = new Error('once')
    const first = factory.createLock('k')
    const outcomes = [first, factory.createLock('k'), factory.createLock('k')].map((lock) =>
      lock.run(() => 'done').catch((error: unknown) => error)
    )
    store.save = () => {
      store.save = save
      throw reason
    }
    await holder.release()
    assert.deepEqual(await Promise.all(outcomes), [reason, [true, 'done'], [true, 'done']])
  })

  test('C21: a store that works again is used again', async ({ assert }) => {
    const store = new SyncStore()
    const save = store.save.bind(store)
    store.save = WAYS.thrown('reason') as never
    const lock = new LockFactory(store).createLock('k')
    assert.equal(await rejectionOf(lock.acquire()), 'reason')
    store.save = save
    assert.isTrue(await lock.acquire())
    await lock.release()
  })

  test('C21: an error of a waiting acquire is no unhandled rejection', async ({ assert }) => {
    const unhandled: unknown[] = []
    const onUnhandled = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', onUnhandled)
    const store = new AsyncStore()
    const factory = new LockFactory(store, { retry: { delay: 5 } })
    await factory.createLock('k').acquire()
    const waiting = factory.createLock('k').acquire()
    store.save = WAYS.rejected('reason') as never
    assert.equal(await rejectionOf(waiting), 'reason')
    await sleep(10)
    process.off('unhandledRejection', onUnhandled)
    assert.deepEqual(unhandled, [])
  })
})

test.group('answers of a custom store', () => {
  test('the store is called with its own this and the documented arguments', async ({ assert }) => {
    const calls: unknown[] = []
    const store: LockStore = {
      save(...args) {
        calls.push(['save', this === store, args])
        return true
      },
      delete(...args) {
        calls.push(['delete', this === store, args])
      },
      forceDelete(...args) {
        calls.push(['forceDelete', this === store, args])
      },
      exists(...args) {
        calls.push(['exists', this === store, args])
        return true
      },
      extend(...args) {
        calls.push(['extend', this === store, args])
      },
    }
    const lock = new LockFactory(store).createLock('k', '2s')
    await lock.acquire()
    await lock.extend()
    await lock.extend('3s')
    assert.isTrue(await lock.isLocked())
    await lock.release()
    await lock.forceRelease()
    const owner = lock.getOwner()
    assert.deepEqual(calls, [
      ['save', true, ['k', owner, 2000]],
      ['extend', true, ['k', owner, 2000]],
      ['extend', true, ['k', owner, 3000]],
      ['exists', true, ['k']],
      ['delete', true, ['k', owner]],
      ['forceDelete', true, ['k']],
    ])
  })

  test('a store that never saves refuses, without an error', async ({ assert }) => {
    const noop: LockStore = {
      save: async () => false,
      delete: async () => {},
      forceDelete: async () => {},
      exists: async () => false,
      extend: async () => {},
    }
    const stingy = Object.assign(new SyncStore(), { save: () => false })
    for (const store of [noop, stingy]) {
      const lock = new LockFactory(store).createLock('k')
      assert.isFalse(await lock.acquireImmediately())
      assert.isFalse(await lock.acquire({ retry: { attempts: 3, delay: 1 } }))
      assert.deepEqual(await lock.runImmediately(() => 'never'), [false, null])
    }
  })

  test('a store may use locks of its own while it is asked', async ({ assert }) => {
    const inner = new LockFactory(new SyncStore())
    class Guarded extends AsyncStore {
      override async save(key: string, owner: string, ttl: number | null) {
        const [, saved] = await inner.createLock(key).run(() => super.save(key, owner, ttl))
        return saved ?? false
      }
    }
    const factory = new LockFactory(new Guarded())
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, index) => factory.createLock('k').run(() => index))
    )
    assert.lengthOf(outcomes, 20)
  })
})
