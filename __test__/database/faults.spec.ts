/**
 * Connections to databases that break at random and at chosen points, and the checker on what happened.
 */
import { test } from '@japa/runner'

import { assertRight } from '../faults/checker.js'
import { about, onStage, registerLostReplies, STORAGE } from '../faults/lost_replies.js'
import type { FaultProxy } from '../faults/proxy.js'
import type { Random } from '../faults/random.js'
import { withSeed } from '../faults/random.js'
import { storm } from '../faults/storm.js'
import { until } from '../unit/observe.js'
import { BACKENDS, configOf, openFactory, SERVERS } from './backends.js'
import type { DatabaseServer } from './servers.js'

/** How long the storm lasts, in seconds. Set `LOQUET_STORM_SECONDS` for a longer one. */
const SECONDS = Number(process.env.LOQUET_STORM_SECONDS ?? 20)
/** How many connections have to be cut in it. */
const CUTS = 300

/** What an administrator may do to a server while it is used. */
const MISCHIEF = {
  Postgres: async (server: DatabaseServer) => {
    await server.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()'
    )
  },
  MariaDB: async (server: DatabaseServer) => {
    const rows = await server.query(
      'SELECT id FROM information_schema.processlist WHERE user = current_user() OR id <> connection_id()'
    )
    // One may have gone by itself.
    for (const { id } of rows) await server.query(`KILL ${id}`).catch(() => {})
  },
}

for (const title of Object.keys(SERVERS) as (keyof typeof SERVERS)[]) {
  const start = async () => {
    const { server, leases, stop } = await BACKENDS[title]()
    return {
      server: server!,
      leases,
      stop,
      open: (proxy: FaultProxy, commandTimeout = 1000) =>
        openFactory(configOf(server!, proxy), { commandTimeout }),
      remains: async () => {
        const found = await leases()
        return found.map(({ key }) => key)
      },
    }
  }

  test.group(`${title} | lost replies`, () => {
    registerLostReplies(start)

    test('C8, C22: waiters hear of releases again after their connections were cut', async ({
      assert,
    }) => {
      await onStage(start, async ({ backend, proxy }) => {
        const holder = openFactory(configOf(backend.server), { apart: 1 }).createLock('k', 60_000)
        assert.isTrue(await holder.acquire())
        // It would be a minute before it asks by itself.
        const waiting = backend
          .open(proxy)
          .createLock('k', 60_000)
          .acquire({ retry: { delay: 60_000 } })
        await until(() => proxy.open > 0)
        for (let cut = 0; cut < 3; cut++) {
          proxy.cutAll()
          await until(() => proxy.open > 0)
        }
        await holder.release()
        assert.isTrue(await waiting)
      })
    })

    test('C6: a lone try whose reply comes late has not been in vain, nor twice', async ({
      assert,
    }) => {
      await onStage(start, async ({ backend, proxy, history, recorder }) => {
        const factory = backend.open(proxy)
        await factory.createLock('first').runImmediately(() => {})
        for (let round = 0; round < 5; round++) {
          const lock = recorder.watch(factory.createLock('k', 20_000), 'k', 20_000)
          const happened = proxy.next('reply-late', about(lock))
          assert.isTrue(await lock.acquire())
          await happened
          await lock.release()
        }
        assertRight(history.read(), { patience: 8_000 })
        assert.deepEqual(await backend.remains(), [])
      })
    })
  })

  test.group(`${title} | storm`, () => {
    test('C1, C6, C13, C22: faults at random points, and the history is right', async ({
      assert,
    }) => {
      await withSeed(async (seed) => {
        const { server, open, leases, stop } = await start()
        const enough = performance.now() + SECONDS * 1_000
        // On a machine that is busy it takes longer until there are as many.
        const tooMuch = performance.now() + SECONDS * 6_000
        try {
          const result = await storm({
            // Logging in takes a kilobyte or two.
            ...{ seed, server, stores: 4, tasks: 12, keys: 4, plan: { bytesBetween: 4_000 } },
            ...{ aborts: true, patience: 10_000, grace: 10_000 },
            errors: [STORAGE, 'TimeoutError'],
            open: (proxy) => open(proxy, 500),
            disturb: async (random: Random) => {
              if (random.chance(0.3)) await MISCHIEF[title](server)
            },
            leases,
            isOver: (proxies) => {
              const cuts = proxies.reduce((sum, proxy) => sum + proxy.cuts, 0)
              return performance.now() > (cuts >= CUTS ? enough : tooMuch)
            },
          })
          if (process.env.LOQUET_STORM_SECONDS !== undefined) console.log(seed, result)
          assert.isAtLeast(result.cuts, CUTS)
          assert.isAbove(result.granted, 200)
        } finally {
          await stop()
        }
      })
    }).timeout(SECONDS * 6_000 + 60_000)
  })
}
