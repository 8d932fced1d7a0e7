/**
 * One lock space for all threads: `memoryStore({ shared: 'name' })`.
 */
import { test } from '@japa/runner'
import { LockFactory, errors } from 'loquet'
import { memoryStore } from 'loquet/drivers/memory'
import type { MemoryStore, MemoryStoreOptions } from 'loquet/drivers/memory'
import { setTimeout as sleep } from 'node:timers/promises'
import { RemoteThread, ended, startWorker } from './processes.js'
import type { Acquired } from './processes.js'

/** So long that whoever depended on asking again would be noticed by the test's own time limit. */
const NO_POLL = { delay: 600_000 }
/** What is at once, on a busy machine with two cores; far below everything that would be too late. */
const SOON = 5_000

let spaces = 0
/** A lock space that no other test uses. */
function spaceName(): string {
  return `threads-${++spaces}`
}

function openStore(options: MemoryStoreOptions): { store: MemoryStore; factory: LockFactory } {
  const store = memoryStore(options).factory()
  return { store, factory: new LockFactory(store) }
}

/** Whether an acquire in another thread got its lock. */
async function wasGranted(acquiring: Promise<Acquired>): Promise<boolean> {
  const { granted } = await acquiring
  return granted
}

/** Keeps this thread from doing anything, timers included. */
function block(millis: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
}

test.group('threads | mutual exclusion', () => {
  test('C1: eight threads add to one counter and no addition is lost', async ({ assert }) => {
    const rounds = 400
    const counter = new SharedArrayBuffer(4)
    const shared = spaceName()
    await Promise.all(
      Array.from({ length: 8 }, (_, seed) =>
        ended(startWorker('counter.mjs', { shared, counter, rounds, seed }))
      )
    )
    assert.equal(new Int32Array(counter)[0], 8 * rounds)

    const { store } = openStore({ shared })
    assert.deepEqual(store.census(), { leases: 0, waiters: 0 })
  })

  test('C1: private stores of two threads know nothing of each other', async ({ assert }) => {
    const [first, second] = await Promise.all([RemoteThread.start(), RemoteThread.start()])
    const here = openStore({})
    assert.isTrue(await wasGranted(first.acquire('lock', { key: 'k', ttl: null })))
    assert.isTrue(await wasGranted(second.acquire('lock', { key: 'k', ttl: null })))
    assert.isTrue(await here.factory.createLock('k').acquireImmediately())
    await Promise.all([first.terminate(), second.terminate()])
  })

  test('C1: shared stores exclude each other by name', async ({ assert }) => {
    const shared = spaceName()
    const thread = await RemoteThread.start(shared)
    await thread.acquire('lock', { key: 'k', ttl: null })
    assert.isFalse(await openStore({ shared }).factory.createLock('k').acquireImmediately())
    const other = openStore({ shared: spaceName() }).factory.createLock('k')
    assert.isTrue(await other.acquireImmediately())
    await thread.terminate()
  })

  test('C2, C3: who lost a lock to another thread can neither release nor extend it', async ({
    assert,
  }) => {
    const shared = spaceName()
    const { factory } = openStore({ shared })
    const thread = await RemoteThread.start(shared)
    const lock = factory.createLock('k')
    await lock.acquire()

    const { result } = await thread.enqueue('stolen', { key: 'k', retry: NO_POLL })
    await factory.createLock('k').forceRelease()
    assert.isTrue(await wasGranted(result))
    await assert.rejects(() => lock.release(), errors.E_LOCK_NOT_OWNED)
    await assert.rejects(() => lock.extend(), errors.E_LOCK_NOT_OWNED)

    await thread.extend('stolen', 10_000)
    await thread.release('stolen')
    const refusal = await thread.release('stolen').catch((error) => error)
    assert.equal(refusal.code, 'E_LOCK_NOT_OWNED')
    await thread.terminate()
  })
})

test.group('threads | waiting', () => {
  test('C8: a release grants the lock to a waiter of another thread, without a poll', async ({
    assert,
  }) => {
    const shared = spaceName()
    const { factory } = openStore({ shared })
    const thread = await RemoteThread.start(shared)
    for (const ttl of [null, 60_000]) {
      const lock = factory.createLock('k', ttl)
      await lock.acquire()
      const there = await thread.enqueue('there', { key: 'k', ttl, retry: NO_POLL })
      await lock.release()
      assert.isTrue(await wasGranted(there.result))

      const here = factory.createLock('k', ttl).acquire({ retry: NO_POLL })
      await thread.release('there')
      assert.isTrue(await here)
      await factory.createLock('k').forceRelease()
    }
    await thread.terminate()
  })

  test('C8: waiters are granted in the order of their arrival, over all threads', async ({
    assert,
  }) => {
    const shared = spaceName()
    const { factory } = openStore({ shared })
    const log = new SharedArrayBuffer(4 * 200)
    const threads = Array.from({ length: 4 }, (_, number) =>
      startWorker('queuer.mjs', { shared, log, number })
    )
    const ends = threads.map(ended)
    const lock = factory.createLock('line', null)
    await lock.acquire()

    const order: number[] = []
    for (let place = 0; place < 100; place++) {
      const number = (place * 7 + Math.floor(place / 9)) % threads.length
      order.push(number)
      await new Promise((resolve) => {
        threads[number].once('message', resolve)
        threads[number].postMessage('queue')
      })
    }
    await lock.release()
    await factory.createLock('line').run(() => {}, { retry: NO_POLL })

    const [count, ...turns] = new Int32Array(log)
    assert.equal(count, order.length)
    assert.deepEqual(turns.slice(0, count), order)
    for (const thread of threads) thread.postMessage('end')
    await Promise.all(ends)
  })

  test("C8: the end of another thread's lease grants the lock, though that thread is busy", async ({
    assert,
  }) => {
    const shared = spaceName()
    const { factory } = openStore({ shared })
    const thread = await RemoteThread.start(shared)
    const { from } = await thread.acquire('held', { key: 'k', ttl: 300 })
    await thread.block(20_000)
    assert.isTrue(await factory.createLock('k').acquire({ retry: NO_POLL }))
    const waited = Date.now() - from
    assert.isAtLeast(waited, 299)
    assert.isBelow(waited, SOON)
    await thread.terminate()
  })

  for (const fate of ['busy', 'terminated'] as const) {
    test(`C8: every waiter learns when a lease ends that was handed over from thread to thread (${fate})`, async ({
      assert,
    }) => {
      const shared = spaceName()
      const { factory } = openStore({ shared })
      const thread = await RemoteThread.start(shared)
      const lock = factory.createLock('k', 60_000)
      await lock.acquire()
      // The first in line gets a lease that ends soon; only the second one, here, is interested in its end.
      const first = await thread.enqueue('first', {
        key: 'k',
        ttl: 300,
        retry: NO_POLL,
        thenBlock: 20_000,
      })
      const second = factory.createLock('k').acquire({ retry: NO_POLL })
      const from = Date.now()
      await lock.release()
      if (fate === 'terminated') {
        await sleep(50)
        await thread.terminate()
      }
      assert.isTrue(await second)
      assert.isBelow(Date.now() - from, SOON)
      await thread.terminate()
      await first.result.catch(() => {})
    })
  }

  test('C8: a lease that is cut short by extend() ends its waits then', async ({ assert }) => {
    const shared = spaceName()
    for (const options of [{}, { shared }]) {
      const { factory } = openStore(options)
      const lock = factory.createLock('k', 60_000)
      await lock.acquire()
      const from = Date.now()
      const here = factory.createLock('k', 100).acquire({ retry: NO_POLL })
      await lock.extend(200)
      assert.isTrue(await here)
      const waited = Date.now() - from
      assert.isAtLeast(waited, 199)
      assert.isBelow(waited, SOON)
    }

    // The same with the waiter in another thread.
    const { factory } = openStore({ shared })
    const thread = await RemoteThread.start(shared)
    const lock = factory.createLock('other', 60_000)
    await lock.acquire()
    const there = await thread.enqueue('there', { key: 'other', retry: NO_POLL })
    await lock.extend(200)
    const { granted, from, to } = await there.result
    assert.isTrue(granted)
    assert.isBelow(to - from, SOON)
    await thread.terminate()
  })

  test('C9: waits in several threads time out, none early, and leave nothing behind', async ({
    assert,
  }) => {
    const shared = spaceName()
    const { factory, store } = openStore({ shared })
    const threads = await Promise.all([1, 2, 3, 4].map(() => RemoteThread.start(shared)))
    const lock = factory.createLock('k', null)
    await lock.acquire()
    const waits = threads.flatMap((thread) =>
      Array.from({ length: 25 }, (_, index) => {
        const retry = { ...NO_POLL, timeout: 150 + (index % 5) * 25 }
        return thread
          .acquire(`lock-${index}`, { key: 'k', retry })
          .then((result) => ({ ...result, timeout: retry.timeout }))
      })
    )
    for (const { granted, from, to, timeout } of await Promise.all(waits)) {
      assert.isFalse(granted)
      assert.isAbove(to - from, timeout)
      assert.isBelow(to - from, timeout + SOON)
    }
    assert.deepEqual(store.census(), { leases: 1, waiters: 0 })
    await lock.release()
    await Promise.all(threads.map((thread) => thread.terminate()))
  })

  test('C8, C9: no grant is lost when deadlines and grants reach a thread together', async ({
    assert,
  }) => {
    const shared = spaceName()
    const { factory } = openStore({ shared })
    const thread = await RemoteThread.start(shared)
    const held = ['busy', 'granted', 'timed-out', 'nearer'].map((key) => factory.createLock(key))
    for (const lock of held) await lock.acquire()

    const busy = await thread.enqueue('busy', { key: 'busy', retry: NO_POLL, thenBlock: 300 })
    const granted = await thread.enqueue('granted', { key: 'granted', retry: NO_POLL })
    const refused = []
    for (let index = 0; index < 5; index++) {
      const retry = { ...NO_POLL, timeout: 150 }
      refused.push(await thread.enqueue(`refused-${index}`, { key: 'timed-out', retry }))
    }
    // The thread gets this lock and is busy then. Meanwhile a deadline comes that is nearer than its own, another lock
    // is released to it, and its own waits time out without any other thread noticing.
    await held[0].release()
    await sleep(50)
    const nearer = factory.createLock('nearer').acquire({ retry: { ...NO_POLL, timeout: 5 } })
    await held[1].release()
    block(500)

    assert.isTrue(await wasGranted(busy.result))
    assert.isTrue(await wasGranted(granted.result))
    for (const { result } of refused) assert.isFalse(await wasGranted(result))
    assert.isFalse(await nearer)
    await thread.terminate()
  })

  test('closing a factory ends the waits of its own thread only', async ({ assert }) => {
    const shared = spaceName()
    const { factory } = openStore({ shared })
    const [closing, waiting] = await Promise.all([
      RemoteThread.start(shared),
      RemoteThread.start(shared),
    ])
    const lock = factory.createLock('k', null)
    await lock.acquire()
    const ends = await closing.enqueue('lock', { key: 'k', retry: NO_POLL })
    const stays = await waiting.enqueue('lock', { key: 'k', retry: NO_POLL })
    await closing.close()
    const refusal = await ends.result.catch((error) => error)
    assert.equal(refusal.code, 'E_LOCK_CLOSED')
    await lock.release()
    assert.isTrue(await wasGranted(stays.result))
    await Promise.all([closing.terminate(), waiting.terminate()])
  })
})

test.group('threads | handing a lock over', () => {
  test('C15: a lock restored in another thread is released there', async ({ assert }) => {
    for (const ttl of [null, 60_000]) {
      const shared = spaceName()
      const { factory } = openStore({ shared })
      const thread = await RemoteThread.start(shared)
      const lock = factory.createLock('k', ttl)
      await lock.acquire()
      await thread.restore('handed', lock.serialize())
      await thread.release('handed')
      assert.isFalse(await lock.isLocked())
      await assert.rejects(() => lock.release(), errors.E_LOCK_NOT_OWNED)
      await thread.terminate()
    }
  })

  test('C15: a lock restored in another thread is extended there and tells its time', async ({
    assert,
  }) => {
    const shared = spaceName()
    const { factory } = openStore({ shared })
    const thread = await RemoteThread.start(shared)
    await thread.acquire('made there', { key: 'k', ttl: 60_000 })
    const lock = factory.restoreLock(await thread.serialize('made there'))
    const remaining = lock.getRemainingTime() as number
    assert.isAbove(remaining, 60_000 - SOON)
    assert.isAtMost(remaining, 60_001)

    await lock.extend(600_000)
    assert.isAbove(lock.getRemainingTime() as number, 600_000 - SOON)
    // The thread that acquired it is none the worse for it.
    await thread.release('made there')
    assert.isFalse(await lock.isLocked())
    await thread.terminate()
  })

  test('C15: a lock outlives its thread by its TTL, and can be released meanwhile', async ({
    assert,
  }) => {
    const shared = spaceName()
    const thread = await RemoteThread.start(shared)
    await thread.acquire('lock', { key: 'k', ttl: 60_000 })
    await thread.acquire('short', { key: 'short', ttl: 50 })
    await thread.acquire('endless', { key: 'endless', ttl: null })
    const serialized = await thread.serialize('lock')
    await thread.terminate()

    // Nobody else has used the space so far.
    const { factory } = openStore({ shared })
    assert.isFalse(await factory.createLock('k').acquireImmediately())
    assert.isTrue(await factory.createLock('endless').acquireImmediately())
    assert.isTrue(await factory.createLock('short').acquire({ retry: { timeout: SOON } }))
    await factory.restoreLock(serialized).release()
    assert.isTrue(await factory.createLock('k').acquireImmediately())
  })
})

test.group('threads | abort', () => {
  test('C11: an abort that races with a grant from another thread leaves no lease behind', async ({
    assert,
  }) => {
    const shared = spaceName()
    const { factory, store } = openStore({ shared })
    const stop = new SharedArrayBuffer(4)
    const ends = [1, 2].map(() => ended(startWorker('passer.mjs', { shared, stop })))
    const reason = new Error('changed my mind')
    let granted = 0
    let aborted = 0
    for (let round = 0; round < 4_000; round++) {
      const controller = new AbortController()
      const lock = factory.createLock('contended', null)
      const acquiring = lock.acquire({ retry: NO_POLL, signal: controller.signal })
      const abort = () => controller.abort(reason)
      // Within this turn of the event loop, while the other threads go on; in one of the next; or not at all.
      const way = round % 8
      if (way < 4) {
        const until = performance.now() + Math.random() * 0.05 * way
        while (performance.now() < until);
        abort()
      } else if (way < 6) {
        setImmediate(abort)
      } else if (way === 6) {
        setImmediate(() => setImmediate(abort))
      }
      try {
        assert.isTrue(await acquiring)
        granted++
        await lock.release()
      } catch (error) {
        assert.strictEqual(error, reason)
        aborted++
      }
    }
    new Int32Array(stop)[0] = 1
    await Promise.all(ends)
    assert.isAbove(aborted, 0)
    assert.isAbove(granted, 0)
    assert.isFalse(await factory.createLock('contended').isLocked())
    assert.deepEqual(store.census(), { leases: 0, waiters: 0 })
  })
})
