/**
 * Fleets of processes: of loquet and Verrou together, killed while they hold and while they wait, on databases that are
 * killed too.
 */
import { test } from '@japa/runner'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Random } from '../faults/random.js'
import type { Fleet, FleetOrder } from '../fleet/fleet.js'
import type { MemberOrder } from '../fleet/orders.js'
import {
  countToTheEnd,
  DOWN,
  killAndReplace,
  killWaiters,
  TIMEOUT,
  withFleetOn,
} from '../fleet/scenarios.js'
import { BACKENDS, openFactory, SERVERS, TABLE } from './backends.js'
import type { Backend } from './backends.js'
import { wayTo } from './fleet/open.js'
import type { DatabaseWay } from './fleet/open.js'

const WAY = { kind: 'options', tableName: TABLE } as const

/** What is common to the members of these tests unless they say otherwise. */
function orderFor(
  { config }: Backend,
  more: Partial<MemberOrder> = {},
  kind: DatabaseWay['kind'] = 'options'
): FleetOrder {
  return {
    peer: 'loquet',
    way: wayTo({ kind, config, tableName: TABLE }),
    keys: ['one', 'two'],
    ttl: 10_000,
    delay: 50,
    tasks: 3,
    work: { kind: 'count' },
    ...more,
  }
}

/** Runs a test with a database and a fleet of its own. */
function withFleet(
  start: () => Promise<Backend>,
  run: (fleet: Fleet, backend: Backend, random: Random) => Promise<void>
): Promise<void> {
  return withFleetOn(async () => {
    const backend = await start()
    // The table is there: Verrou's processes would trip over each other making it.
    await openFactory(backend.config)
      .createLock('first')
      .run(() => {})
    return backend
  }, run)
}

async function hasNoLeases({ leases }: Backend): Promise<boolean> {
  const found = await leases()
  return found.length === 0
}

/** Verrou's own tries may fail on a file that is busy, and it passes deadlocks on. loquet's errors have codes of their own. */
function errorsOf(title: string): string[] {
  if (title === 'MariaDB') return ['ER_LOCK_DEADLOCK']
  return title.startsWith('SQLite') ? ['SqliteError', 'SQLITE_BUSY', ...DOWN] : []
}

for (const [title, start] of Object.entries(BACKENDS)) {
  test.group(`${title} | mixed fleet`, (group) => {
    group.each.timeout(TIMEOUT)

    test('C1: processes on Verrou and on loquet lose no update of a shared counter', async ({
      assert,
    }) => {
      await withFleet(start, async (fleet, backend) => {
        const more = { delay: 5, rounds: 8, tasks: 2 }
        const { tasks, rounds } = more
        await fleet.start(2, orderFor(backend, { ...more, peer: 'verrou' }, 'instance'))
        await fleet.start(1, orderFor(backend, more, 'instance'), 'settings')
        await fleet.start(1, orderFor(backend, more, 'proxy'), 'proxy')
        await fleet.start(
          1,
          orderFor(backend, { ...more, peer: 'verrou' }, 'kysely'),
          'their Kysely'
        )
        await fleet.start(1, orderFor(backend, more, 'kysely'), 'Kysely')
        await fleet.start(2, orderFor(backend, more))
        const all = fleet.members.length * tasks * rounds
        await countToTheEnd(assert, fleet, all, { errors: errorsOf(title) })
        assert.isTrue(await hasNoLeases(backend))
      })
    })

    test('C1, C2, C13: processes of both are killed, and no update is lost', async ({ assert }) => {
      await withFleet(start, async (fleet, backend, random) => {
        const more = { keys: ['one', 'two', 'three'], ttl: 1_500, delay: 20 }
        const orders = [
          orderFor(backend, more),
          orderFor(backend, { ...more, peer: 'verrou' }, 'instance'),
        ]
        for (const order of orders) await fleet.start(3, order)
        await killAndReplace(assert, fleet, random, { orders, rounds: 8, errors: errorsOf(title) })
        await fleet.waitUntil(() => hasNoLeases(backend))
      })
    })

    test('C8: processes are killed while they wait, and the others go on', async ({ assert }) => {
      await withFleet(start, async (fleet, backend, random) => {
        const work = { kind: 'hold', millis: [1, 4] } as const
        // Two dozen tasks write at once, where each may have to wait for the disk.
        const way = { ...WAY, config: backend.config, commandTimeout: 20_000 }
        const more = { keys: ['one'], ttl: 2_000, delay: 60_000, work, way: wayTo(way) }
        const order = orderFor(backend, more)
        const lock = openFactory(backend.config).createLock('one', 60_000)
        await killWaiters(assert, fleet, random, { order, members: 8, lock, kills: 2 })
        await fleet.waitUntil(() => hasNoLeases(backend))
      })
    })
  })
}

for (const title of Object.keys(SERVERS) as (keyof typeof SERVERS)[]) {
  test.group(`${title} | killed`, (group) => {
    group.each.timeout(TIMEOUT)

    test('C1, C2, C22: no update is lost when processes and the server are killed', async ({
      assert,
    }) => {
      await withFleet(BACKENDS[title], async (fleet, backend, random) => {
        const server = backend.server!
        const order = orderFor(backend, { keys: ['one', 'two', 'three'], ttl: 1_500 })
        await fleet.start(5, order)
        await killAndReplace(assert, fleet, random, {
          orders: [order],
          rounds: 9,
          errors: DOWN,
          async between(round) {
            if (round % 3 !== 0) return false
            await (round === 6 ? server.shutDown() : server.kill())
            await sleep(random.integer(0, 300))
            await server.restart()
            return true
          },
        })
        await fleet.waitUntil(() => hasNoLeases(backend))
      })
    })
  })
}
