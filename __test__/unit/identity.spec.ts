import { setImmediate as turn } from 'node:timers/promises'

import { test } from '@japa/runner'
import { E_LOCK_NOT_OWNED, LockFactory } from 'loquet'

import { assertNotOwned, rejectionOf, until, withTime } from './observe.js'
import { forEachStore } from './stores_under_test.js'

forEachStore('identity', ({ createStore, createFactory }) => {
  test('C5: an overrun run releases what it acquired, not what another task acquired with the object', async ({
    assert,
  }) => {
    const shared = createFactory().createLock('k', 60_000)
    let [isInside, isOverrunDone] = [false, false]
    const overrun = shared.run(async () => {
      await shared.extend(25)
      await until(() => isInside)
      return 'late'
    })
    const next = shared.run(
      async (lock) => {
        await lock.extend(60_000)
        isInside = true
        await until(() => isOverrunDone)
        return lock.isLocked()
      },
      { retry: { delay: 5 } }
    )

    const error = await rejectionOf(overrun)
    isOverrunDone = true
    assert.instanceOf(error, E_LOCK_NOT_OWNED)
    assert.equal(error.result, 'late')
    assert.deepEqual(await next, [true, true])
    assert.isFalse(await shared.isLocked())
  })

  test('C5: hundreds of tasks may share one object', async ({ assert }) => {
    const shared = createFactory().createLock('k')
    let [inside, most, done] = [0, 0, 0]
    const tasks = Array.from({ length: 200 }, () =>
      shared.run(async () => {
        most = Math.max(most, ++inside)
        await turn()
        inside--
        done++
      })
    )
    await Promise.all(tasks)
    assert.deepEqual([most, done], [1, 200])
    assert.isFalse(await shared.isLocked())
  })

  test('C5: the first acquisition carries the owner that getOwner showed before it', async ({
    assert,
  }) => {
    const store = createStore()
    const lock = new LockFactory(store).createLock('k')
    const owner = lock.getOwner()
    assert.equal(lock.getOwner(), owner)
    await lock.acquire()
    assert.equal(lock.getOwner(), owner)
    await store.extend('k', owner, 5000)
    await lock.release()
    assert.equal(lock.getOwner(), owner)
  })

  test('C5: the same is true for run, for a waiter and for what serialize showed', async ({
    assert,
  }) => {
    const factory = createFactory()
    const [holder, lock, other] = [1, 2, 3].map(() => factory.createLock('k'))
    const [owner, serialized] = [lock.getOwner(), other.serialize()]
    await holder.acquire()
    const waiting = lock.acquire()
    await holder.release()
    await waiting
    assert.equal(lock.getOwner(), owner)
    await lock.release()

    await other.run(() => assert.equal(other.getOwner(), serialized.owner))
    assert.equal(other.getOwner(), serialized.owner)
  })

  test('C5: getOwner tells the same owner while the first acquire waits', async ({ assert }) => {
    const factory = createFactory()
    const [holder, shown, unasked] = [1, 2, 3].map(() => factory.createLock('k'))
    await holder.acquire()
    const before = shown.getOwner()
    const waiting = [shown.acquire(), unasked.acquire()]
    const owners = [shown.getOwner(), unasked.getOwner()]
    assert.equal(shown.serialize().owner, owners[0])
    assert.equal(owners[0], before)

    await holder.release()
    await waiting[0]
    assert.equal(shown.getOwner(), owners[0])
    await shown.release()
    await waiting[1]
    assert.equal(unasked.getOwner(), owners[1])
  })

  test('C5: later acquisitions of an object have owners of their own', async ({ assert }) => {
    const store = createStore()
    const lock = new LockFactory(store).createLock('k')
    const owners = new Set<string>([lock.getOwner()])
    for (let round = 0; round < 5; round++) {
      await lock.acquire()
      owners.add(lock.getOwner())
      await lock.release()
    }
    assert.equal(owners.size, 5)

    await lock.acquire()
    for (const old of owners) {
      await assertNotOwned(assert, () => store.delete('k', old))
      await assertNotOwned(assert, () => store.extend('k', old, 1000))
    }
    await lock.release()
  })

  test('C5: the owner comes back when an acquire fails', async ({ assert }) => {
    const factory = createFactory()
    const [holder, lock] = [factory.createLock('k'), factory.createLock('k')]
    await holder.acquire()
    const owner = lock.getOwner()

    await lock.acquireImmediately()
    assert.equal(lock.getOwner(), owner)
    await lock.run(() => {}, { retry: { attempts: 2, delay: 5 } })
    assert.equal(lock.getOwner(), owner)
    await rejectionOf(lock.acquire({ signal: AbortSignal.abort() }))
    assert.equal(lock.getOwner(), owner)
    await holder.release()
    await lock.acquire()
    assert.equal(lock.getOwner(), owner)

    // By then the store has answered: an owner that it may still be busy with isn't used again.
    await withTime(150, async (timeout) => {
      const impatient = factory.createLock('k')
      const itsOwner = impatient.getOwner()
      await impatient.acquire({ retry: { timeout } })
      assert.equal(impatient.getOwner(), itsOwner)
      await rejectionOf(impatient.acquire({ signal: AbortSignal.timeout(timeout) }))
      assert.equal(impatient.getOwner(), itsOwner)
    })
  })

  test('C5: a failed later acquire leaves what the object holds alone', async ({ assert }) => {
    const lock = createFactory().createLock('k', 60_000)
    await lock.acquire()
    const owner = lock.getOwner()
    assert.isFalse(await lock.acquire({ retry: { timeout: 10 } }))
    assert.equal(lock.getOwner(), owner)
    await lock.extend(30_000)
    await lock.release()
    assert.isFalse(await lock.isLocked())
  })
})
