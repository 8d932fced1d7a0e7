import { getEventListeners, setMaxListeners } from 'node:events'

import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { isPending, rejectionOf, sleep, until } from './observe.js'
import { forEachStore, SyncStore } from './stores_under_test.js'

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length

forEachStore('abort', ({ createStore, createFactory }) => {
  test('C11: a signal that is aborted already rejects with its reason before anything is done', async ({
    assert,
  }) => {
    const factory = createFactory()
    const reason = new Error('no longer wanted')
    const signal = AbortSignal.abort(reason)
    const lock = factory.createLock('k')
    assert.equal(await rejectionOf(lock.acquire({ signal })), reason)
    assert.equal(await rejectionOf(lock.run(() => assert.fail(), { signal })), reason)
    assert.isFalse(await lock.isLocked())
    assert.equal(listeners(signal), 0)
  })

  test('C11: an abort while waiting rejects with the reason and frees the place in the queue', async ({
    assert,
  }) => {
    const factory = createFactory({ retry: { delay: 60_000 } })
    const holder = factory.createLock('k')
    await holder.acquire()
    const abort = new AbortController()
    const aborted = factory.createLock('k')
    const waiting = aborted.acquire({ signal: abort.signal })
    const next = factory.createLock('k').acquire()
    assert.isTrue(await isPending(waiting))

    const reason = { any: 'value' }
    abort.abort(reason)
    assert.equal(await rejectionOf(waiting), reason)
    assert.equal(listeners(abort.signal), 0)
    assert.isNull(aborted.getRemainingTime())

    await holder.release()
    assert.isTrue(await next, 'the next in line is served')
  })

  test('C11: without a reason it is the AbortError of the platform', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k').acquire()
    const abort = new AbortController()
    const waiting = factory.createLock('k').acquire({ signal: abort.signal })
    abort.abort()
    const error = await rejectionOf(waiting)
    assert.equal(error, abort.signal.reason)
    assert.equal(error.name, 'AbortError')
  })

  test('C11: AbortSignal.timeout and AbortSignal.any work', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k').acquire()
    const byTime = await rejectionOf(
      factory.createLock('k').acquire({ signal: AbortSignal.timeout(20) })
    )
    assert.equal(byTime.name, 'TimeoutError')

    const abort = new AbortController()
    const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(60_000)])
    const waiting = factory.createLock('k').acquire({ signal })
    abort.abort('by hand')
    assert.equal(await rejectionOf(waiting), 'by hand')
  })

  test('C11: an abort of run while it waits: the callback never runs', async ({ assert }) => {
    const factory = createFactory()
    const holder = factory.createLock('k')
    await holder.acquire()
    const abort = new AbortController()
    let calls = 0
    const running = factory.createLock('k').run(() => ++calls, {
      retry: { delay: 5 },
      signal: abort.signal,
    })
    assert.isTrue(await isPending(running))
    abort.abort('enough')
    assert.equal(await rejectionOf(running), 'enough')
    await holder.release()
    await sleep(20)
    assert.equal(calls, 0)
    assert.isFalse(await holder.isLocked())
  })

  test('C11: an abort after the grant has no effect', async ({ assert }) => {
    const factory = createFactory()
    const abort = new AbortController()
    const { signal } = abort
    const [free, holder, waiter] = ['free', 'k', 'k'].map((key) => factory.createLock(key))
    await free.acquire({ signal })
    assert.equal(listeners(signal), 0)
    await holder.acquire()
    const waiting = waiter.acquire({ signal })
    await holder.release()
    assert.isTrue(await waiting)
    assert.equal(listeners(signal), 0)
    const ran = factory.createLock('run').run(
      async () => {
        abort.abort()
        await sleep(5)
        return 'done'
      },
      { signal }
    )
    assert.deepEqual(await ran, [true, 'done'])
    assert.isTrue(await free.isLocked())
    await free.release()
    await waiter.release()
  })

  test('C11: no listener is left after a refusal', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k').acquire()
    const { signal } = new AbortController()
    const lock = factory.createLock('k')
    assert.isFalse(await lock.acquire({ signal, retry: { attempts: 1 } }))
    assert.isFalse(await lock.acquire({ signal, retry: { attempts: 2, delay: 5 } }))
    assert.isFalse(await lock.acquire({ signal, retry: { timeout: 10 } }))
    assert.deepEqual(await lock.run(() => {}, { signal, retry: { timeout: 10 } }), [false, null])
    assert.equal(listeners(signal), 0)
  })

  test("C11: the user's own handlers of the signal are kept", async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k').acquire()
    const abort = new AbortController()
    const calls: string[] = []
    const onabort = () => calls.push('onabort')
    abort.signal.onabort = onabort
    abort.signal.addEventListener('abort', () => calls.push('listener'))
    const waiting = factory.createLock('k').acquire({ signal: abort.signal })
    assert.equal(abort.signal.onabort, onabort)
    abort.abort()
    await rejectionOf(waiting)
    assert.deepEqual(calls, ['onabort', 'listener'])
  })

  test('C11: the object can be used again after an abort', async ({ assert }) => {
    const factory = createFactory()
    const [holder, lock] = [factory.createLock('k'), factory.createLock('k')]
    await holder.acquire()
    const waiting = lock.acquire({ signal: AbortSignal.timeout(10) })
    await rejectionOf(waiting)
    await holder.release()
    assert.isTrue(await lock.acquire())
    await lock.release()
    assert.isFalse(await lock.isLocked())
  })

  test('C11: one signal ends hundreds of waits', async ({ assert }) => {
    const store = createStore()
    const factory = new LockFactory(store)
    const holder = factory.createLock('k')
    await holder.acquire()
    const abort = new AbortController()
    setMaxListeners(0, abort.signal)
    const waits = Array.from({ length: 300 }, () =>
      factory.createLock('k').acquire({ signal: abort.signal })
    )
    await sleep(10)
    abort.abort('all of you')
    for (const outcome of await Promise.allSettled(waits)) {
      assert.deepEqual(outcome, { status: 'rejected', reason: 'all of you' })
    }
    assert.equal(listeners(abort.signal), 0)
    if (store instanceof MemoryStore) assert.equal(store.census().waiters, 0)
    await holder.release()
    assert.isFalse(await holder.isLocked())
  })
})

test.group('abort | one signal for many', () => {
  for (const [name, store] of [
    ['memory store', new MemoryStore()],
    ['custom store', new SyncStore()],
  ] as const) {
    test(`C11: a signal that many waits share draws no warning of a leak: ${name}`, async ({
      assert,
    }) => {
      const factory = new LockFactory(store)
      await factory.createLock('k').acquire()
      const warnings: Error[] = []
      const onWarning = (warning: Error) => warnings.push(warning)
      process.on('warning', onWarning)
      const abort = new AbortController()
      const waits = Array.from({ length: 30 }, () =>
        factory.createLock('k').acquire({ signal: abort.signal })
      )
      await sleep(10)
      abort.abort()
      await Promise.allSettled(waits)
      process.off('warning', onWarning)
      assert.deepEqual(warnings, [])
    })
  }
})

test.group('abort | a save under way', () => {
  /** A store whose first answer comes when the test wants it. */
  class HeldBackStore extends SyncStore {
    answer!: () => void
    readonly #mayAnswer = new Promise<void>((resolve) => {
      this.answer = resolve
    })

    override save(key: string, owner: string, ttl: number | null): any {
      const saved = super.save(key, owner, ttl)
      return this.saves.length === 1 ? this.#mayAnswer.then(() => saved) : saved
    }
  }

  for (const [title, retry] of [
    ['of an acquire that waits', {}],
    ['of an immediate attempt', { attempts: 1 }],
  ] as const) {
    test(`C11: a save ${title} that succeeds after the abort is undone`, async ({ assert }) => {
      const store = new HeldBackStore()
      const factory = new LockFactory(store)
      const abort = new AbortController()
      const lock = factory.createLock('k', null)
      const waiting = lock.acquire({ signal: abort.signal, retry })
      await sleep(5)
      abort.abort('too late')
      assert.equal(await rejectionOf(waiting), 'too late', 'the abort does not wait for the store')
      assert.isDefined(store.holderOf('k'))

      store.answer()
      await until(() => store.holderOf('k') === undefined)
      assert.deepEqual(store.deletes, [['k', store.saves[0].owner]])
      assert.isNull(lock.getRemainingTime())
      assert.isTrue(await factory.createLock('k').acquireImmediately())
    })
  }

  test('C11: who waits behind it is served when it has been undone', async ({ assert }) => {
    const store = new HeldBackStore()
    const factory = new LockFactory(store, { retry: { delay: 60_000 } })
    const abort = new AbortController()
    const aborted = factory.createLock('k', null).acquire({ signal: abort.signal })
    const next = factory.createLock('k').acquire({ retry: { timeout: 3000 } })
    abort.abort()
    await rejectionOf(aborted)
    store.answer()
    assert.isTrue(await next)
  })

  test('C11: the same object may acquire while it is being undone', async ({ assert }) => {
    const store = new HeldBackStore()
    const lock = new LockFactory(store, { retry: { delay: 5 } }).createLock('k', null)
    const abort = new AbortController()
    const aborted = lock.acquire({ signal: abort.signal })
    abort.abort()
    await rejectionOf(aborted)
    const again = lock.acquire({ retry: { timeout: 3000 } })
    store.answer()
    assert.isTrue(await again)
    await sleep(30)
    assert.isTrue(await lock.isLocked(), 'what has been acquired since is not undone')
    await lock.release()
  })

  test('C11: an abort from within the store leaves no lease either', async ({ assert }) => {
    const store = new SyncStore()
    const abort = new AbortController()
    const save = store.save.bind(store)
    store.save = (...args) => {
      abort.abort('from save')
      return save(...args)
    }
    const lock = new LockFactory(store).createLock('k', null)
    assert.equal(await rejectionOf(lock.acquire({ signal: abort.signal })), 'from save')
    await until(() => store.holderOf('k') === undefined)
    assert.equal(listeners(abort.signal), 0)
  })

  test('C11: a save that fails after the abort harms nobody', async ({ assert }) => {
    const store = new SyncStore()
    let fail!: (reason: Error) => void
    const failed = new Promise<boolean>((_, reject) => {
      fail = reject
    })
    store.save = (() => failed) as never
    const abort = new AbortController()
    const waiting = new LockFactory(store).createLock('k').acquire({ signal: abort.signal })
    abort.abort('gone')
    assert.equal(await rejectionOf(waiting), 'gone')
    fail(new Error('nobody hears of this'))
    await sleep(5)
  })
})
