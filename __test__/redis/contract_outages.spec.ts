/**
 * C22 on Redis: servers that are down, paused, restarted.
 */
import { redisStore } from 'loquet/drivers/redis'

import { registerOutages } from '../contract/outages.js'
import type { FailingServer } from '../contract/outages.js'
import { keysOf } from './fleet/keys.js'
import { openFactory } from './outage.js'
import { startStandalone } from './servers.js'

async function start(args: string[] = []): Promise<FailingServer> {
  const server = await startStandalone({ args })
  const { host, port } = server
  return Object.assign(server, {
    driver: (options) => redisStore({ host, port, ...named(options) }),
    open: (options = {}) => openFactory(server, named(options)),
    remains: () => keysOf(server),
  } satisfies Partial<FailingServer>)
}

function named({ apart, ...options }: { apart?: number }) {
  return apart === undefined ? options : { ...options, connectionName: String(apart) }
}

registerOutages({
  title: 'Redis outages',
  start,
  memories: [
    { start, remembers: false },
    {
      start: () => start(['--appendonly', 'yes', '--appendfsync', 'always']),
      remembers: true,
    },
  ],
})
