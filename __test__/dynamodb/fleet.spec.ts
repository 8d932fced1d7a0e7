/**
 * Fleets of processes on DynamoDB: of loquet and Verrou together, killed while they hold and while they wait.
 */
import { test } from '@japa/runner'

import type { Random } from '../faults/random.js'
import type { Fleet, FleetOrder } from '../fleet/fleet.js'
import type { MemberOrder } from '../fleet/orders.js'
import { countToTheEnd, killAndReplace, TIMEOUT, withFleetOn } from '../fleet/scenarios.js'
import { wayTo } from './fleet/open.js'
import { leasesOf, startRunning } from './tables.js'
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
function withFleet(
  run: (fleet: Fleet, running: Running, random: Random) => Promise<void>
): Promise<void> {
  // The table is there: Verrou's processes wouldn't wait for it.
  return withFleetOn(() => startRunning(NAME), run)
}

async function hasNoLeases({ client }: Running): Promise<boolean> {
  const found = await leasesOf(client, NAME)
  return found.length === 0
}

test.group('DynamoDB | mixed fleet', (group) => {
  group.each.timeout(TIMEOUT)

  test('C1: processes on Verrou and on loquet lose no update of a shared counter', async ({
    assert,
  }) => {
    await withFleet(async (fleet, running) => {
      const more = { rounds: 8, tasks: 2 }
      await fleet.start(2, orderFor(running, { ...more, peer: 'verrou' }))
      await fleet.start(2, orderFor(running, more))
      await countToTheEnd(assert, fleet, fleet.members.length * more.tasks * more.rounds)
      assert.isTrue(await hasNoLeases(running))
    })
  })

  test('C1, C2, C13: processes of both are killed, and no update is lost', async ({ assert }) => {
    await withFleet(async (fleet, running, random) => {
      const more = { keys: ['one', 'two', 'three'], ttl: 2_000 }
      const orders = [orderFor(running, more), orderFor(running, { ...more, peer: 'verrou' })]
      for (const order of orders) await fleet.start(2, order)
      await killAndReplace(assert, fleet, random, { orders, rounds: 6 })
      await fleet.waitUntil(() => hasNoLeases(running))
    })
  })
})
