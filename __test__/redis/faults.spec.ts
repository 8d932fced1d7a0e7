/**
 * Connections that break at random and at chosen points, and the checker on what happened.
 */
import { LockFactory as VerrouFactory } from '@verrou/core'
import { redisStore as verrouStore } from '@verrou/core/drivers/redis'
import type { Assert } from '@japa/assert'
import { test } from '@japa/runner'
import { Redis } from 'ioredis'
import { LockFactory } from 'loquet'
import { redisStore } from 'loquet/drivers/redis'
import { assertRight, check } from '../faults/checker.js'
import { History, Recorder } from '../faults/history.js'
import type { RecordableLock, RecordedLock } from '../faults/history.js'
import { FaultProxy } from '../faults/proxy.js'
import { withSeed } from '../faults/random.js'
import { assertNotOwned, rejectionOf, sleep, until } from '../unit/observe.js'
import { channelsOf, keysOf } from './fleet/keys.js'
import { storm } from './fleet/storm.js'
import { startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

const STORAGE = 'E_LOCK_STORAGE_ERROR'

/** How long the storm lasts, in seconds. Set `LOQUET_STORM_SECONDS` for a longer one. */
const SECONDS = Number(process.env.LOQUET_STORM_SECONDS ?? 20)
/** How many connections have to be cut in it. */
const CUTS = 1_000

/** So much that most acquires come through, some of them by detours. */
const PLAN = { bytesBetween: 1_500 }

/** A loquet store behind a proxy. */
function openLoquet({ host, port }: FaultProxy): LockFactory {
  return new LockFactory(redisStore({ host, port, commandTimeout: 500 }).factory())
}

/** What may become of a request, and leaves open what became of it. */
const DOUBTFUL = [
  'reply-lost',
  'reply-torn',
  'half-open',
  'black-hole',
  'request-torn',
  'request-stray',
] as const

/** What each of the tests below has: a server, a proxy in front of it, a history. */
interface Stage {
  server: RedisServer
  proxy: FaultProxy
  history: History
  recorder: Recorder
}

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  const server = await startStandalone()
  const proxy = await FaultProxy.start(server)
  // What is late is late enough to be overtaken, and silence lasts longer than anybody waits.
  proxy.rage({
    bytesBetween: Number.POSITIVE_INFINITY,
    delay: [150, 150],
    silence: [60_000, 60_000],
  })
  const history = new History()
  const recorder = new Recorder(history.folder, 'test')
  try {
    await run({ server, proxy, history, recorder })
  } finally {
    await proxy.stop()
    await server.stop()
    recorder.close()
    history.remove()
  }
}

/** Whether a request is about a lease: that of the owner. */
function about({ owner }: { owner: string }): (request: Buffer) => boolean {
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

/** Fails unless nothing is left, and nothing comes afterwards. */
async function assertEmpty(assert: Assert, server: RedisServer): Promise<void> {
  assert.deepEqual(await keysOf(server), [])
  // What was sent before and is late has arrived by now.
  await sleep(300)
  assert.deepEqual(await keysOf(server), [])
}

test.group('Redis | lost replies', () => {
  for (const fault of DOUBTFUL) {
    test(`C6 ${fault}: an acquire neither waits for itself nor leaves a lease`, async ({
      assert,
    }) => {
      await onStage(async ({ server, proxy, history, recorder }) => {
        const factory = openLoquet(proxy)
        await factory.createLock('first').runImmediately(() => {})
        for (const ttl of [20_000, null]) {
          const lock = recorder.watch(factory.createLock('k', ttl), 'k', ttl)
          const happened = proxy.next(fault, about(lock))
          const acquiring = lock.acquire().catch((error) => {
            assert.equal(error.code, STORAGE)
            return false
          })
          await happened
          if (await acquiring) await lock.release()
          // Whatever became of it: the key is free, long before the TTL is over.
          const next = recorder.watch(factory.createLock('k', ttl), 'k', ttl)
          assert.isTrue(await next.acquire({ retry: { delay: 50 } }))
          await next.release()
        }
        assertRight(history.read(), { patience: 8_000, errors: [STORAGE] })
        await assertEmpty(assert, server)
      })
    })

    test(`C3, C6 ${fault}: a release that was performed is not one that was lost`, async ({
      assert,
    }) => {
      await onStage(async ({ server, proxy, history, recorder }) => {
        const factory = openLoquet(proxy)
        for (const ttl of [20_000, null]) {
          const lock = recorder.watch(factory.createLock('k', ttl), 'k', ttl)
          assert.isTrue(await lock.acquire())
          const happened = proxy.next(fault, about(lock))
          await Promise.all([happened, giveBack(assert, lock)])
        }
        assertRight(history.read(), { patience: 8_000, errors: [STORAGE] })
        await assertEmpty(assert, server)
      })
    })

    test(`C6 ${fault}: a hand-over that was performed goes to who was next`, async ({ assert }) => {
      await onStage(async ({ server, proxy, history, recorder }) => {
        const factory = openLoquet(proxy)
        const locks = [1, 2, 3].map(() =>
          recorder.watch(factory.createLock('k', 20_000), 'k', 20_000)
        )
        assert.isTrue(await locks[0].acquire())
        const waiting = locks.slice(1).map(async (lock) => {
          try {
            if (await lock.acquire()) await lock.release()
          } catch (error) {
            assert.equal((error as { code?: string }).code, STORAGE)
          }
        })
        const happened = proxy.next(fault, about(locks[0]))
        await Promise.all([happened, giveBack(assert, locks[0]), ...waiting])
        const last = recorder.watch(factory.createLock('k', 20_000), 'k', 20_000)
        assert.isTrue(await last.acquire({ retry: { delay: 50 } }))
        await last.release()
        assertRight(history.read(), { patience: 8_000, errors: [STORAGE] })
        await assertEmpty(assert, server)
      })
    })
  }

  test('C3, C16: a lease that was over is not released because a reply was lost', async ({
    assert,
  }) => {
    await onStage(async ({ proxy }) => {
      const factory = openLoquet(proxy)
      const lock = factory.createLock('k', 50)
      assert.isTrue(await lock.acquire())
      await until(() => lock.isExpired())
      await sleep(50)
      const happened = proxy.next('reply-lost', about({ owner: lock.getOwner() }))
      await Promise.all([happened, assertNotOwned(assert, () => lock.release())])

      const overrun = factory.createLock('k', 50).run(async (held) => {
        await until(() => held.isExpired())
        await sleep(50)
        void proxy.next('reply-lost', about({ owner: held.getOwner() }))
        return 'done too late'
      })
      const error = await rejectionOf(overrun)
      assert.deepEqual([error.code, error.result], ['E_LOCK_NOT_OWNED', 'done too late'])
    })
  })

  test('C8, C22: waiters hear of releases again after their connections were cut', async ({
    assert,
  }) => {
    await onStage(async ({ server, proxy }) => {
      const holder = new LockFactory(
        redisStore({ host: server.host, port: server.port }).factory()
      ).createLock('k', 60_000)
      assert.isTrue(await holder.acquire())
      // It would be a minute before it asks by itself.
      const waiting = openLoquet(proxy)
        .createLock('k', 60_000)
        .acquire({ retry: { delay: 60_000 } })
      await until(async () => (await channelsOf(server)) > 0)
      for (let cut = 0; cut < 3; cut++) {
        proxy.cutAll()
        await until(async () => (await channelsOf(server)) === 0)
        await until(async () => (await channelsOf(server)) > 0)
      }
      await holder.release()
      assert.isTrue(await waiting)
    })
  })
})

test.group('Redis | a server that pauses', () => {
  test('C6, C22: calls end in time, and what they may have saved is gone afterwards', async ({
    assert,
  }) => {
    await onStage(async ({ server, history, recorder }) => {
      const { host, port } = server
      const store = redisStore({ host, port, commandTimeout: 300 }).factory()
      const factory = new LockFactory(store)
      await factory.createLock('first').runImmediately(() => {})
      const held = recorder.watch(factory.createLock('held', 30_000), 'held', 30_000)
      assert.isTrue(await held.acquire())
      server.pause()
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, async (_, place) => {
          const key = `k${place}`
          const ttl = place % 2 === 0 ? null : 30_000
          const lock = recorder.watch(factory.createLock(key, ttl), key, ttl)
          const retry = place % 3 === 0 ? { timeout: 50 } : {}
          return lock.acquire({ retry }).catch((error) => error.code as string)
        })
      )
      // By its own timeout, or by that of the store.
      const expected = outcomes.map((_, place) => (place % 3 === 0 ? false : STORAGE))
      assert.deepEqual(outcomes, expected)
      await assert.rejects(() => held.release(), /Lock storage error/)
      server.resume()
      await until(async () => (await server.cli('KEYS', 'k*')) === '')
      await until(async () => {
        await held.release().catch(() => {})
        return !held.isHeld || (await server.cli('EXISTS', 'held')) === '0'
      })
      assertRight(history.read(), { patience: 8_000, errors: [STORAGE] })
    })
  })
})

test.group('Redis | storm', () => {
  test('C1, C6, C13, C22: thousands of faults at random points, and the history is right', async ({
    assert,
  }) => {
    await withSeed(async (seed) => {
      const server = await startStandalone()
      const enough = performance.now() + SECONDS * 1_000
      // On a machine that is busy it takes longer until there are as many.
      const tooMuch = performance.now() + SECONDS * 2_000
      try {
        const result = await storm({
          ...{ seed, server, stores: 4, tasks: 12, keys: 4, plan: PLAN, aborts: true },
          ...{ patience: 10_000, grace: 10_000, errors: [STORAGE, 'TimeoutError'] },
          open: openLoquet,
          isOver: (proxies) => {
            const cuts = proxies.reduce((sum, proxy) => sum + proxy.cuts, 0)
            return performance.now() > (cuts >= CUTS ? enough : tooMuch)
          },
        })
        if (process.env.LOQUET_STORM_SECONDS !== undefined) console.log(seed, result)
        assert.isAtLeast(result.cuts, CUTS)
        assert.isAbove(result.granted, 200)
        for (const [fault, count] of Object.entries(result.faults)) assert.isAbove(count, 0, fault)
      } finally {
        await server.stop()
      }
    })
  }).timeout(SECONDS * 2_000 + 60_000)

  test('what the storm looks for is found where it is: a client that sends requests again', async ({
    assert,
  }) => {
    await onStage(async ({ proxy, history, recorder }) => {
      const { host, port } = proxy
      const connection = new Redis({ host, port, maxRetriesPerRequest: null })
      connection.on('error', () => {})
      const factory = new VerrouFactory(verrouStore({ connection }).factory())
      const ttl = 1_500
      const watch = () => recorder.watch(factory.createLock('k', ttl) as RecordableLock, 'k', ttl)
      const first = watch()
      const happened = proxy.next('reply-lost', about(first))
      assert.isTrue(await first.acquire())
      await happened
      await first.release()
      const second = watch()
      assert.isTrue(await second.acquire())
      void proxy.next('reply-lost', about(second))
      await assert.rejects(() => second.release())
      connection.disconnect()
      const { violations } = check(history.read(), { patience: 1_000 })
      assert.deepEqual(
        violations.map(({ rule }) => rule),
        ['lost', 'self-wait']
      )
    })
  })
})
