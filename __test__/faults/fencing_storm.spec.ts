/**
 * Fencing tokens of threads that are terminated, over memory that they share.
 */
import { test } from '@japa/runner'

import { STORM_TIMEOUT, tokenStorm } from '../fleet/fencing/storm.js'
import { wayTo } from '../fleet/open_memory.js'
import { withFleetOn } from '../fleet/scenarios.js'

test.group('fencing storm | shared memory store', () => {
  test('C2: tokens grow, and no storage that compares them accepts what is out of date', async ({
    assert,
  }) => {
    const nothing = async () => ({ stop: async () => {} })
    await withFleetOn(nothing, async (fleet, _, random) => {
      await tokenStorm(assert, fleet, random, {
        order: { body: 'thread', way: wayTo('fencing storm'), delay: 20 },
      })
    })
  }).timeout(STORM_TIMEOUT)
})
