/**
 * What becomes of locks when replies get lost, whatever the server.
 */
import type { Assert } from '@japa/assert'
import { test } from '@japa/runner'
import type { LockFactory } from 'loquet'
import { assertNotOwned, rejectionOf, sleep, until } from '../unit/observe.js'
import { assertRight } from './checker.js'
import { History, Recorder } from './history.js'
import type { RecordedLock } from './history.js'
import { FaultProxy } from './proxy.js'
import type { Target } from './proxy.js'

export const STORAGE = 'E_LOCK_STORAGE_ERROR'

/** What may become of a request, and leaves open what became of it. */
const DOUBTFUL = [
  'reply-lost',
  'reply-torn',
  'half-open',
  'black-hole',
  'request-torn',
  'request-stray',
] as const

/** A server with nothing in it. */
export interface Backend {
  /** What the proxy stands before. */
  server: Target
  /** Opens a store behind the proxy, whose commands may take a second. */
  open(proxy: FaultProxy): LockFactory
  /** What is left of locks. */
  remains(): Promise<string[]>
  stop(): Promise<void>
}

/** What each of the tests has: a server, a proxy in front of it, a history. */
export interface Stage<B extends Backend> {
  backend: B
  proxy: FaultProxy
  history: History
  recorder: Recorder
}

export async function onStage<B extends Backend>(
  start: () => Promise<B>,
  run: (stage: Stage<B>) => Promise<void>
): Promise<void> {
  const backend = await start()
  const proxy = await FaultProxy.start(backend.server)
  // What is late is late enough to be overtaken, and silence lasts longer than anybody waits.
  proxy.rage({
    bytesBetween: Number.POSITIVE_INFINITY,
    delay: [150, 150],
    silence: [60_000, 60_000],
  })
  const history = new History()
  const recorder = new Recorder(history.folder, 'test')
  try {
    await run({ backend, proxy, history, recorder })
  } finally {
    await proxy.stop()
    await backend.stop()
    recorder.close()
    history.remove()
  }
}

/** Whether a request is about a lease: that of the owner. */
export function about({ owner }: { owner: string }): (request: Buffer) => boolean {
  return (request) => request.includes(owner)
}

/** Releases; where the store says that it can't tell what became of it, once more. */
async function giveBack(assert: Assert, lock: RecordedLock): Promise<void> {
  try {
    await lock.release()
  } catch (error) {
    assert.equal((error as { code?: string }).code, STORAGE)
    await lock.release().catch(({ code }) => assert.equal(code, 'E_LOCK_NOT_OWNED'))
  }
}

/**
 * Acquires. Where the store says that it can't tell, a busy machine has taken longer than a command may: once more.
 *
 * @param make - Each acquisition needs a lock object of its own
 * @returns The lock, which is held
 */
async function take(
  assert: Assert,
  make: () => RecordedLock,
  options?: object
): Promise<RecordedLock> {
  for (;;) {
    const lock = make()
    try {
      assert.isTrue(await lock.acquire(options))
      return lock
    } catch (error) {
      if ((error as { code?: string }).code !== STORAGE) throw error
    }
  }
}

/** Fails unless nothing is left, and nothing comes afterwards. */
async function assertEmpty(assert: Assert, backend: Backend): Promise<void> {
  assert.deepEqual(await backend.remains(), [])
  // What was sent before and is late has arrived by now.
  await sleep(300)
  assert.deepEqual(await backend.remains(), [])
}

/**
 * Registers the tests, in a group.
 *
 * @param isFenced - Whether what a connection was lost with can be kept from being performed later, and what has become of
 * it is found out. Over an app's own client it can't be, so that one has to be told
 */
export function registerLostReplies(start: () => Promise<Backend>, { isFenced = true } = {}): void {
  const isLeft = (fault: string) => isFenced || fault !== 'request-stray'
  for (const fault of DOUBTFUL.filter(isLeft)) {
    test(`C6 ${fault}: an acquire neither waits for itself nor leaves a lease`, async ({
      assert,
    }) => {
      await onStage(start, async ({ backend, proxy, history, recorder }) => {
        const factory = backend.open(proxy)
        const first = () => recorder.watch(factory.createLock('first'), 'first', 30_000)
        await giveBack(assert, await take(assert, first))
        for (const ttl of [20_000, null]) {
          const lock = recorder.watch(factory.createLock('k', ttl), 'k', ttl)
          const happened = proxy.next(fault, about(lock))
          const acquiring = lock.acquire().catch((error) => {
            assert.equal(error.code, STORAGE)
            return false
          })
          await happened
          if (await acquiring) await giveBack(assert, lock)
          // Whatever became of it: the key is free, long before the TTL is over.
          const watch = () => recorder.watch(factory.createLock('k', ttl), 'k', ttl)
          await giveBack(assert, await take(assert, watch, { retry: { delay: 50 } }))
        }
        assertRight(history.read(), { patience: 8_000, errors: [STORAGE] })
        await assertEmpty(assert, backend)
      })
    })

    test(`C3, C6 ${fault}: a release that was performed is not one that was lost`, async ({
      assert,
    }) => {
      await onStage(start, async ({ backend, proxy, history, recorder }) => {
        const factory = backend.open(proxy)
        for (const ttl of [20_000, null]) {
          const watch = () => recorder.watch(factory.createLock('k', ttl), 'k', ttl)
          const lock = await take(assert, watch)
          const happened = proxy.next(fault, about(lock))
          await Promise.all([happened, giveBack(assert, lock)])
        }
        assertRight(history.read(), { patience: 8_000, errors: [STORAGE] })
        await assertEmpty(assert, backend)
      })
    })

    test(`C6 ${fault}: a hand-over that was performed goes to who was next`, async ({ assert }) => {
      await onStage(start, async ({ backend, proxy, history, recorder }) => {
        const factory = backend.open(proxy)
        const watch = () => recorder.watch(factory.createLock('k', 20_000), 'k', 20_000)
        const holder = await take(assert, watch)
        const waiting = [watch(), watch()].map(async (lock) => {
          try {
            if (await lock.acquire()) await lock.release()
          } catch (error) {
            assert.equal((error as { code?: string }).code, STORAGE)
          }
        })
        const happened = proxy.next(fault, about(holder))
        await Promise.all([happened, giveBack(assert, holder), ...waiting])
        await giveBack(assert, await take(assert, watch, { retry: { delay: 50 } }))
        assertRight(history.read(), { patience: 8_000, errors: [STORAGE] })
        await assertEmpty(assert, backend)
      })
    })
  }

  if (!isFenced) return

  test('C3, C16: a lease that was over is not released because a reply was lost', async ({
    assert,
  }) => {
    await onStage(start, async ({ backend, proxy }) => {
      const factory = backend.open(proxy)
      const lock = factory.createLock('k', 60_000)
      assert.isTrue(await lock.acquire())
      await lock.extend(50)
      await until(() => lock.isExpired())
      await sleep(50)
      const happened = proxy.next('reply-lost', about({ owner: lock.getOwner() }))
      await Promise.all([happened, assertNotOwned(assert, () => lock.release())])

      const overrun = factory.createLock('k', 60_000).run(async (held) => {
        await held.extend(50)
        await until(() => held.isExpired())
        await sleep(50)
        void proxy.next('reply-lost', about({ owner: held.getOwner() }))
        return 'done too late'
      })
      const error = await rejectionOf(overrun)
      assert.deepEqual([error.code, error.result], ['E_LOCK_NOT_OWNED', 'done too late'])
    })
  })
}
