import { test } from '@japa/runner'
import { LockFactory } from 'loquet'

import { isPending, millisOf, sleep, until } from './observe.js'
import { AsyncStore, SyncStore } from './stores_under_test.js'

/** A poll would come long after the test has failed. */
const NO_POLL = { delay: 60_000 }

test.group('waiting | custom stores of other habits', () => {
  /** A store that counts whole milliseconds, or by another machine's clock, lets go a little late. */
  class LateStore extends SyncStore {
    protected override isLive(endsAt: number) {
      return this.now() < endsAt + 2
    }
  }

  test('C8: at expiry, with a store that lets go a little late', async ({ assert }) => {
    const factory = new LockFactory(new LateStore(), { retry: NO_POLL })
    for (let round = 0; round < 3; round++) {
      await factory.createLock(`key ${round}`, 30).acquire()
      const waiter = factory.createLock(`key ${round}`)
      assert.isTrue(await waiter.acquire({ retry: { timeout: 3000 } }))
    }
  })

  /** The change comes some time after the call, the answer some time after the change. */
  class SlowStore extends AsyncStore {
    isSlow = true

    protected override async later<T>(change: () => T) {
      const pause = this.isSlow ? 30 : 0
      await sleep(pause)
      const answer = change()
      await sleep(pause)
      return answer
    }
  }

  test('C8: at expiry, with a store that is slow to save', async ({ assert }) => {
    const factory = new LockFactory(new SlowStore(), { retry: NO_POLL })
    await factory.createLock('k', 80).acquire()
    assert.isTrue(await factory.createLock('k').acquire({ retry: { timeout: 3000 } }))
  })

  test('C8: at expiry, with a store that is slow to extend', async ({ assert }) => {
    const store = new SlowStore()
    const factory = new LockFactory(store, { retry: NO_POLL })
    const holder = factory.createLock('k', 60_000)
    await holder.acquire()
    const waiting = factory.createLock('k').acquire({ retry: { timeout: 3000 } })
    await sleep(80)
    await holder.extend(80)
    store.isSlow = false
    assert.isTrue(await waiting)
  })

  test('C7, C13: after an answer that came too late for its lease, waiters go on', async ({
    assert,
  }) => {
    const store = new SlowStore()
    const factory = new LockFactory(store, { retry: { delay: 20 } })
    // Over before the answer is there: it isn't handed out, and the store is asked again.
    const first = factory.createLock('k', 40).acquire({ retry: { delay: 20, timeout: 5000 } })
    const second = factory.createLock('k', 5000).acquire({ retry: { delay: 20, timeout: 5000 } })
    const { table } = store
    await until(() => table.holderOf('k') !== undefined)
    await until(() => table.holderOf('k') === undefined)
    assert.isTrue(table.save('k', 'another process', null))
    await until(() => table.saves.length >= 4)
    store.isSlow = false
    table.forceDelete('k')
    assert.isTrue(await first)
    table.forceDelete('k')
    assert.isTrue(await second)
  })

  test('C8: a waiter polls at its delay for what another process frees', async ({ assert }) => {
    const store = new SyncStore()
    store.save('k', 'another process', null)
    const waiting = new LockFactory(store).createLock('k').acquire({ retry: { delay: 10 } })
    assert.isTrue(await isPending(waiting))
    store.delete('k', 'another process')
    assert.isBelow(await millisOf(() => waiting), 1000)
  })

  test('C8: a lease that reaches a waiter who has left is deleted, and the next is served', async ({
    assert,
  }) => {
    // The first save answers late, when its lease is over already.
    class LateAnswer extends SyncStore {
      override save(key: string, owner: string, ttl: number | null): any {
        const saved = super.save(key, owner, ttl)
        return this.saves.length === 1 ? sleep(100, saved) : saved
      }
    }
    const factory = new LockFactory(new LateAnswer())
    const abort = new AbortController()
    const first = factory.createLock('k', 40).acquire({ signal: abort.signal })
    const next = factory.createLock('k').acquire({ retry: { delay: 10, timeout: 2000 } })
    abort.abort()
    await first.catch(() => {})
    assert.isTrue(await next)
  })

  test('C8: a failing delete does not stop those who wait', async ({ assert }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store, { retry: { delay: 10 } })
    const holder = factory.createLock('k', 60)
    await holder.acquire()
    const waiting = factory.createLock('k').acquire({ retry: { timeout: 2000 } })
    store.delete = () => {
      throw new Error('no connection')
    }
    await assert.rejects(() => holder.release(), 'no connection')
    assert.isTrue(await waiting)
  })
})
