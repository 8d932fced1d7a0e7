/**
 * What the tests of Redis servers that fail have in common.
 */
import { LockFactory } from 'loquet'
import { RedisStore } from 'loquet/drivers/redis'
import type { RedisServerOptions } from 'loquet/types'

import { startStandalone } from './servers.js'
import type { RedisServer, StandaloneOptions } from './servers.js'

export * from '../contract/outage.js'

/** A factory of locks on a server. Each `connectionName` is a connection of its own, as in another process. */
export function openFactory(server: RedisServer, options: RedisServerOptions = {}): LockFactory {
  const { host, port } = server
  return new LockFactory(new RedisStore({ host, port, ...options }))
}

/** Runs a test with a server of its own. */
export async function withServer(
  options: StandaloneOptions,
  run: (server: RedisServer) => Promise<void>
): Promise<void> {
  const server = await startStandalone(options)
  try {
    await run(server)
  } finally {
    await server.stop()
  }
}
