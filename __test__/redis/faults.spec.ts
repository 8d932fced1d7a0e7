/**
 * Connections that break at random and at chosen points, and the checker on what happened.
 */
import { LockFactory as VerrouFactory } from '@verrou/core'
import { redisStore as verrouStore } from '@verrou/core/drivers/redis'
import { test } from '@japa/runner'
import { Redis } from 'ioredis'
import { LockFactory } from 'loquet'
import { redisStore } from 'loquet/drivers/redis'
import { assertRight, check } from '../faults/checker.js'
import type { RecordableLock } from '../faults/history.js'
import { about, onStage, registerLostReplies, STORAGE } from '../faults/lost_replies.js'
import type { FaultProxy } from '../faults/proxy.js'
import type { Random } from '../faults/random.js'
import { withSeed } from '../faults/random.js'
import { storm } from '../faults/storm.js'
import { until } from '../unit/observe.js'
import { keysOf, leasesIn } from './fleet/keys.js'
import { startStandalone } from './servers.js'

/** How long the storm lasts, in seconds. Set `LOQUET_STORM_SECONDS` for a longer one. */
const SECONDS = Number(process.env.LOQUET_STORM_SECONDS ?? 20)
/** How many connections have to be cut in it. */
const CUTS = 1_000

/** So much that most acquires come through, some of them by detours. */
const PLAN = { bytesBetween: 1_500 }

/** What an administrator may do to a server while it is used. */
const MISCHIEF = [
  ['SCRIPT', 'FLUSH'],
  ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'],
  ['CLIENT', 'KILL', 'TYPE', 'pubsub'],
  ['CLIENT', 'PAUSE', '60', 'ALL'],
  ['CLIENT', 'PAUSE', '60', 'WRITE'],
] as const

/** A loquet store behind a proxy. */
function openLoquet({ host, port }: FaultProxy, commandTimeout = 1000): LockFactory {
  return new LockFactory(redisStore({ host, port, commandTimeout }).factory())
}

/** A server and how it is seen. */
async function start() {
  const server = await startStandalone()
  const remains = () => keysOf(server)
  return {
    server,
    open: (proxy: FaultProxy) => openLoquet(proxy),
    remains,
    stop: () => server.stop(),
  }
}

test.group('Redis | lost replies', () => {
  registerLostReplies(start)

  test('C8, C22: waiters hear of releases again after their connections were cut', async ({
    assert,
  }) => {
    await onStage(start, async ({ backend: { server }, proxy }) => {
      const holder = new LockFactory(
        redisStore({ host: server.host, port: server.port }).factory()
      ).createLock('k', 60_000)
      assert.isTrue(await holder.acquire())
      // It would be a minute before it asks by itself.
      const waiting = openLoquet(proxy)
        .createLock('k', 60_000)
        .acquire({ retry: { delay: 60_000 } })
      const hearers = async (): Promise<string[]> => {
        const clients = await server.cli('CLIENT', 'LIST', 'TYPE', 'pubsub')
        // Those that listen to something already.
        return clients.match(/^id=\d+(?=.* sub=[1-9])/gm) ?? []
      }
      await until(async () => {
        const found = await hearers()
        return found.length > 0
      })
      for (let cut = 0; cut < 3; cut++) {
        const before = await hearers()
        proxy.cutAll()
        await until(async () => {
          const after = await hearers()
          return after.length > 0 && !after.some((id) => before.includes(id))
        })
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
    await onStage(start, async ({ backend: { server }, history, recorder }) => {
      const { host, port } = server
      const store = redisStore({ host, port, commandTimeout: 1000 }).factory()
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
      const tooMuch = performance.now() + SECONDS * 6_000
      try {
        const result = await storm({
          ...{ seed, server, stores: 4, tasks: 12, keys: 4, plan: PLAN, aborts: true },
          ...{ patience: 10_000, grace: 10_000, errors: [STORAGE, 'TimeoutError'] },
          open: (proxy) => openLoquet(proxy, 500),
          disturb: (random: Random) => server.cli(...random.pick(MISCHIEF)),
          leases: async () => {
            const keys = await leasesIn(server)
            return Promise.all(
              keys.map(async (key) => ({ key, owner: await server.cli('GET', key) }))
            )
          },
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
  }).timeout(SECONDS * 6_000 + 60_000)

  test('what the storm looks for is found where it is: a client that sends requests again', async ({
    assert,
  }) => {
    await onStage(start, async ({ proxy, history, recorder }) => {
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
