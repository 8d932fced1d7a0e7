/**
 * Fleets of processes: of loquet and Verrou together, killed while they hold and while they wait, on databases that are
 * killed too.
 */
import { test } from '@japa/runner'
import { setTimeout as sleep } from 'node:timers/promises'

import { assertRight } from '../faults/checker.js'
import type { CheckOptions } from '../faults/checker.js'
import { Random, withSeed } from '../faults/random.js'
import { Fleet } from '../fleet/fleet.js'
import type { FleetOrder } from '../fleet/fleet.js'
import type { MemberOrder } from '../fleet/orders.js'
import { BACKENDS, openFactory, SERVERS, TABLE } from './backends.js'
import type { Backend } from './backends.js'
import { wayTo } from './fleet/open.js'
import type { DatabaseWay } from './fleet/open.js'

/** Milliseconds that a test may take on a machine that has other things to do. */
const TIMEOUT = 150_000

/** Errors that a database which comes and goes may lead to. */
const DOWN = ['E_LOCK_STORAGE_ERROR']

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
async function withFleet(
  start: () => Promise<Backend>,
  run: (fleet: Fleet, backend: Backend, random: Random) => Promise<void>
): Promise<void> {
  await withSeed(async (seed) => {
    const backend = await start()
    const fleet = new Fleet(seed)
    try {
      // The table is there: Verrou's processes would trip over each other making it.
      await openFactory(backend.config)
        .createLock('first')
        .run(() => {})
      await run(fleet, backend, new Random(seed))
    } finally {
      await fleet.remove()
      await backend.stop()
    }
  })
}

function assertHistory(fleet: Fleet, options: Partial<CheckOptions> = {}) {
  return assertRight(fleet.history.read(), { patience: 8_000, ...options })
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
        fleet.go()
        await fleet.completed()

        const locks = fleet.members.reduce((sum, { granted }) => sum + granted, 0)
        const skipped = fleet.members.reduce((sum, one) => sum + one.skipped, 0)
        const { granted, failed } = assertHistory(fleet, { errors: errorsOf(title) })
        assert.equal(granted + failed, fleet.members.length * tasks * rounds)
        assert.equal(granted, locks)
        assert.equal(fleet.counted, locks - skipped)
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
        fleet.go()
        await fleet.progress(1)
        for (let round = 0; round < 8; round++) {
          await fleet.kill(random.pick(fleet.running))
          fleet.go(await fleet.start(1, orders[round % 2]))
          // Somebody, not everybody: a holder's lease outlives it.
          await fleet.progressOfAny()
        }
        await fleet.progress(1)
        await fleet.finish()
        const { granted } = assertHistory(fleet, { errors: errorsOf(title) })
        assert.isAtMost(fleet.counted, granted)
        await fleet.waitUntil(() => hasNoLeases(backend))
      })
    })

    test('C8: processes are killed while they wait, and the others go on', async ({ assert }) => {
      await withFleet(start, async (fleet, backend, random) => {
        const work = { kind: 'hold', millis: [1, 4] } as const
        const order = orderFor(backend, { keys: ['one'], ttl: 2_000, delay: 60_000, work })
        await fleet.start(8, order)
        const lock = openFactory(backend.config).createLock('one', 60_000)
        assert.isTrue(await lock.acquire())
        fleet.go()
        // All of them wait.
        await fleet.waitUntil(() => {
          const asked = fleet.history.read().filter(({ kind }) => kind === 'asked')
          return asked.length === 8 * order.tasks
        })
        for (let killed = 0; killed < 2; killed++) await fleet.kill(random.pick(fleet.running))
        await lock.release()
        for (let killed = 0; killed < 2; killed++) {
          await fleet.progressOfAny()
          await fleet.kill(random.pick(fleet.running))
        }
        await fleet.progress(2 * order.tasks)
        await fleet.finish()
        assertHistory(fleet)
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
        fleet.go()
        await fleet.progress(1)
        for (let round = 1; round <= 9; round++) {
          if (round % 3 === 0) {
            await (round === 6 ? server.shutDown() : server.kill())
            await sleep(random.integer(0, 300))
            await server.restart()
          } else {
            await fleet.kill(random.pick(fleet.running))
            fleet.go(await fleet.start(1, order))
          }
          await fleet.progressOfAny()
        }
        await fleet.progress(2)
        await fleet.finish()
        const { granted } = assertHistory(fleet, { errors: DOWN })
        assert.isAtMost(fleet.counted, granted)
        await fleet.waitUntil(() => hasNoLeases(backend))
      })
    })
  })
}
