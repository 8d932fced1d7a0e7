/**
 * Fleets of processes on DynamoDB: of loquet and Verrou together, killed while they hold and while they wait.
 */
import { test } from '@japa/runner'

import { assertRight } from '../faults/checker.js'
import type { CheckOptions } from '../faults/checker.js'
import { Random, withSeed } from '../faults/random.js'
import { Fleet } from '../fleet/fleet.js'
import type { FleetOrder } from '../fleet/fleet.js'
import type { MemberOrder } from '../fleet/orders.js'
import { wayTo } from './fleet/open.js'
import { leasesOf, startRunning, storeOf } from './tables.js'
import type { Running } from './tables.js'

const NAME = 'locks'

function orderFor({ server }: Running, more: Partial<MemberOrder> = {}): FleetOrder {
  return {
    peer: 'loquet',
    way: wayTo({ server, name: NAME }),
    keys: ['one', 'two'],
    ttl: 10_000,
    delay: 20,
    tasks: 2,
    work: { kind: 'count' },
    ...more,
  }
}

/** Runs a test with a server and a fleet of its own. */
async function withFleet(
  run: (fleet: Fleet, running: Running, random: Random) => Promise<void>
): Promise<void> {
  await withSeed(async (seed) => {
    const running = await startRunning()
    const fleet = new Fleet(seed)
    try {
      // The table is there: Verrou's processes wouldn't wait for it.
      await storeOf(running, { name: NAME }).exists('warm')
      await run(fleet, running, new Random(seed))
    } finally {
      await fleet.remove()
      await running.stop()
    }
  })
}

function assertHistory(fleet: Fleet, options: Partial<CheckOptions> = {}) {
  return assertRight(fleet.history.read(), { patience: 10_000, ...options })
}

async function hasNoLeases({ client }: Running): Promise<boolean> {
  const found = await leasesOf(client, NAME)
  return found.length === 0
}

test.group('DynamoDB | mixed fleet', (group) => {
  group.each.timeout(150_000)

  test('C1: processes on Verrou and on loquet lose no update of a shared counter', async ({
    assert,
  }) => {
    await withFleet(async (fleet, running) => {
      const more = { rounds: 8, tasks: 2 }
      await fleet.start(2, orderFor(running, { ...more, peer: 'verrou' }))
      await fleet.start(2, orderFor(running, more))
      fleet.go()
      await fleet.completed()

      const locks = fleet.members.reduce((sum, { granted }) => sum + granted, 0)
      const skipped = fleet.members.reduce((sum, one) => sum + one.skipped, 0)
      const { granted } = assertHistory(fleet)
      assert.equal(granted, fleet.members.length * more.tasks * more.rounds)
      assert.equal(granted, locks)
      assert.equal(fleet.counted, locks - skipped)
      assert.isTrue(await hasNoLeases(running))
    })
  })

  test('C1, C2, C13: processes of both are killed, and no update is lost', async ({ assert }) => {
    await withFleet(async (fleet, running, random) => {
      const more = { keys: ['one', 'two', 'three'], ttl: 2_000 }
      const orders = [orderFor(running, more), orderFor(running, { ...more, peer: 'verrou' })]
      for (const order of orders) await fleet.start(2, order)
      fleet.go()
      await fleet.progress(1)
      for (let round = 0; round < 6; round++) {
        await fleet.kill(random.pick(fleet.running))
        fleet.go(await fleet.start(1, orders[round % 2]))
        // Somebody, not everybody: a holder's lease outlives it.
        await fleet.progressOfAny()
      }
      await fleet.progress(1)
      await fleet.finish()
      const { granted } = assertHistory(fleet)
      assert.isAtMost(fleet.counted, granted)
      await fleet.waitUntil(() => hasNoLeases(running))
    })
  })
})
