import { test } from '@japa/runner'
import { errors, LockFactory, Verrou } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import type { Assert } from '@japa/assert'

import { isPending, rejectionOf, sleep, until } from './observe.js'
import { forEachStore, SyncStore } from './stores_under_test.js'

/** Begins to listen at once, so that a rejection before the answer is wanted has a listener. */
function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  promise.catch(() => {})
  return promise
}

async function assertClosed(assert: Assert, promise: Promise<unknown>): Promise<void> {
  const error = await rejectionOf(promise)
  assert.instanceOf(error, errors.E_LOCK_CLOSED)
  assert.equal(error.code, 'E_LOCK_CLOSED')
}

forEachStore('close', ({ createStore }) => {
  const createVerrou = (store = createStore()) =>
    new Verrou({ default: 'one', stores: { one: { driver: { factory: () => store } } } })

  test('close ends waiting acquires with E_LOCK_CLOSED, on every key', async ({ assert }) => {
    const verrou = createVerrou()
    for (const key of ['one', 'two']) await verrou.createLock(key).acquire()
    let calls = 0
    const waiting = [
      verrou.createLock('one').acquire(),
      verrou.createLock('one').acquire({ retry: { timeout: 60_000 } }),
      verrou.createLock('two').acquire({ retry: { attempts: 5, delay: 60_000 } }),
      verrou.createLock('two').acquire({ signal: new AbortController().signal }),
      verrou.createLock('one').run(() => ++calls),
      verrou
        .use('one')
        .createLock('two')
        .run(() => ++calls),
    ].map(outcomeOf)
    assert.isTrue(await isPending(waiting[0]))
    await verrou.close()
    for (const each of waiting) await assertClosed(assert, each)
    assert.equal(calls, 0)
  })

  test('after close every acquire is refused with it, and nothing is locked', async ({
    assert,
  }) => {
    const store = createStore()
    const verrou = createVerrou(store)
    const before = verrou.createLock('k')
    await verrou.close()
    for (const lock of [before, verrou.createLock('k'), verrou.use('one').createLock('k')]) {
      await assertClosed(assert, lock.acquire())
      await assertClosed(assert, lock.acquireImmediately())
      await assertClosed(
        assert,
        lock.run(() => assert.fail())
      )
      await assertClosed(
        assert,
        lock.runImmediately(() => assert.fail())
      )
    }
    assert.isFalse(await store.exists('k'))
  })

  test('what is held can still be extended, asked for and released', async ({ assert }) => {
    const verrou = createVerrou()
    const [lock, restorable] = [verrou.createLock('k'), verrou.createLock('other', 60_000)]
    await lock.acquire()
    await restorable.acquire()
    let finish!: () => void
    const running = verrou.createLock('run').run(
      () =>
        new Promise<void>((resolve) => {
          finish = resolve
        })
    )
    await until(() => finish !== undefined)
    await verrou.close()
    await lock.extend(60_000)
    assert.isTrue(await lock.isLocked())
    await lock.release()
    assert.isFalse(await lock.isLocked())
    await verrou.restoreLock(restorable.serialize()).release()
    finish()
    assert.deepEqual(await running, [true, undefined])
    assert.isFalse(await verrou.createLock('run').isLocked())
  })

  test('close is idempotent, also while it is under way', async ({ assert }) => {
    const verrou = createVerrou()
    await verrou.createLock('k').acquire()
    const waiting = outcomeOf(verrou.createLock('k').acquire())
    const closing = [verrou.close(), verrou.close()]
    await assertClosed(assert, waiting)
    await Promise.all(closing)
    await verrou.close()
    await assertClosed(assert, verrou.createLock('k').acquire())
  })

  test('close before anything was used', async ({ assert }) => {
    const verrou = createVerrou()
    await verrou.close()
    await assertClosed(assert, verrou.createLock('k').acquire())
  })

  test('a release after close serves nobody', async ({ assert }) => {
    const store = createStore()
    const verrou = createVerrou(store)
    const holder = verrou.createLock('k')
    await holder.acquire()
    const waiting = outcomeOf(verrou.createLock('k').acquire())
    await verrou.close()
    await holder.release()
    await assertClosed(assert, waiting)
    await sleep(10)
    assert.isFalse(await store.exists('k'))
  })

  test('another manager of the same store is not concerned', async ({ assert }) => {
    const store = createStore()
    const [closed, open] = [createVerrou(store), createVerrou(store)]
    const holder = open.createLock('k')
    await holder.acquire()
    const waiting = outcomeOf(open.createLock('k').acquire())
    const ended = outcomeOf(closed.createLock('k').acquire())
    await closed.close()
    await assertClosed(assert, ended)
    await holder.release()
    assert.isTrue(await waiting)
    assert.isTrue(await open.createLock('other').acquire())
  })
})

test.group('close | details', () => {
  test('a save that is under way is undone when it succeeds after close', async ({ assert }) => {
    const store = new SyncStore()
    const save = store.save.bind(store)
    let answer!: () => void
    const mayAnswer = new Promise<void>((resolve) => {
      answer = resolve
    })
    store.save = ((...args: Parameters<typeof save>) => {
      const saved = save(...args)
      return mayAnswer.then(() => saved)
    }) as never
    const verrou = new Verrou({
      default: 'one',
      stores: { one: { driver: { factory: () => store } } },
    })
    const waiting = outcomeOf(verrou.createLock('k', null).acquire())
    const immediate = outcomeOf(verrou.createLock('other', null).acquireImmediately())
    await verrou.close()
    await assertClosed(assert, waiting)
    await assertClosed(assert, immediate)
    answer()
    await until(() => store.holderOf('k') === undefined && store.holderOf('other') === undefined)
  })

  test('a factory of locks can be closed on its own', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore())
    await factory.createLock('k').acquire()
    const waiting = outcomeOf(factory.createLock('k').acquire())
    factory.close()
    await assertClosed(assert, waiting)
    await assertClosed(assert, factory.createLock('other').acquire())
    factory.close()
  })

  test('C13: nothing is left of those who waited', async ({ assert }) => {
    const store = new MemoryStore()
    const factory = new LockFactory(store)
    await factory.createLock('k').acquire()
    const waits = Array.from({ length: 100 }, () => factory.createLock('k').acquire())
    const outcomes = Promise.allSettled(waits)
    factory.close()
    await outcomes
    assert.deepEqual(store.census(), { leases: 1, waiters: 0 })
  })
})
