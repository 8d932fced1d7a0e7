/**
 * Fencing tokens of processes that are killed, on a server that is killed too and forgets everything.
 */
import { test } from '@japa/runner'

import { STORM_TIMEOUT, tokenStorm } from '../fleet/fencing/storm.js'
import { DOWN, withFleetOn } from '../fleet/scenarios.js'
import { wayTo } from './fleet/open.js'
import type { RedisWay } from './fleet/open.js'
import { startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

type Address = Pick<RedisServer, 'host' | 'port'>

const WAYS: Record<string, (address: Address) => RedisWay> = {
  'Redis': ({ host, port }) => ({ kind: 'options', options: { host, port } }),
  'Redis on the own connection': ({ host, port }) => ({
    kind: 'instance',
    // With an option that only ioredis could understand the connection is used as it is.
    options: { host, port, shoeSize: 43 } as object,
  }),
}

for (const [title, wayOf] of Object.entries(WAYS)) {
  test.group(`fencing storm | ${title}`, () => {
    test('C2: tokens grow, and no storage that compares them accepts what is out of date', async ({
      assert,
    }) => {
      await withFleetOn(startStandalone, async (fleet, server, random) => {
        await tokenStorm(assert, fleet, random, {
          order: { way: wayTo(wayOf(server)), delay: 20 },
          forgets: true,
          errors: DOWN,
          async restart() {
            await server.kill()
            await server.restart()
          },
        })
      })
    }).timeout(STORM_TIMEOUT)
  })
}
