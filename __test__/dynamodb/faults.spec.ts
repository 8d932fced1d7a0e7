/**
 * Connections to DynamoDB that break at random and at chosen points, and the checker on what happened.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'

import { registerLostReplies, STORAGE } from '../faults/lost_replies.js'
import type { FaultProxy } from '../faults/proxy.js'
import { withSeed } from '../faults/random.js'
import { storm } from '../faults/storm.js'
import { clientFor, leasesOf, startRunning, storeOf } from './tables.js'

/** How long the storm lasts, in seconds. Set `LOQUET_STORM_SECONDS` for a longer one. */
const SECONDS = Number(process.env.LOQUET_STORM_SECONDS ?? 20)
/** How many connections have to be cut in it. */
const CUTS = 60

const NAME = 'locks'

async function start() {
  const { server, client, stop } = await startRunning(NAME)
  const clients = [client]
  return {
    server,
    leases: () => leasesOf(client, NAME),
    remains: async () => {
      const found = await leasesOf(client, NAME)
      return found.map(({ key }) => key)
    },
    open: (proxy: FaultProxy, commandTimeout = 1000) => {
      const own = clientFor(proxy)
      clients.push(own)
      return new LockFactory(storeOf({ client: own }, { name: NAME, commandTimeout }))
    },
    stop: async () => {
      for (const one of clients) one.destroy()
      await stop()
    },
  }
}

test.group('DynamoDB | lost replies', () => {
  registerLostReplies(start)
})

test.group('DynamoDB | storm', () => {
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
          // A request has about a kilobyte.
          ...{ seed, server, stores: 3, tasks: 4, keys: 2, plan: { bytesBetween: 4_000 } },
          ...{ aborts: true, patience: 10_000, grace: 10_000 },
          errors: [STORAGE, 'TimeoutError'],
          open: (proxy) => open(proxy, 2_000),
          disturb: async () => {},
          leases,
          isOver: (proxies) => {
            const cuts = proxies.reduce((sum, proxy) => sum + proxy.cuts, 0)
            return performance.now() > (cuts >= CUTS ? enough : tooMuch)
          },
        })
        if (process.env.LOQUET_STORM_SECONDS !== undefined) console.log(seed, result)
        assert.isAtLeast(result.cuts, CUTS)
        assert.isAbove(result.granted, 50)
      } finally {
        await stop()
      }
    })
  }).timeout(SECONDS * 6_000 + 60_000)
})
