/**
 * Fencing tokens of processes that are killed, on DynamoDB.
 */
import { test } from '@japa/runner'

import { KEYS, STORM_TIMEOUT, tokenStorm } from '../fleet/fencing/storm.js'
import { withFleetOn } from '../fleet/scenarios.js'
import { wayTo } from './fleet/open.js'
import { startRunning } from './tables.js'

test.group('fencing storm | DynamoDB', () => {
  test('C2: tokens grow, and no storage that compares them accepts what is out of date', async ({
    assert,
  }) => {
    await withFleetOn(startRunning, async (fleet, { server }, random) => {
      const way = wayTo({ server, name: 'locks' })
      await tokenStorm(assert, fleet, random, {
        // The server is slow. So few wait, and ask seldom.
        few: 600,
        order: { way, delay: 200, tasks: 6, keys: KEYS.slice(0, 16) },
      })
    })
  }).timeout(STORM_TIMEOUT)
})
