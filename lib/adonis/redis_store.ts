import { RuntimeException } from '@poppinss/exception'
import { RedisStore } from '../drivers/redis.js'
import { Origin } from '../drivers/redis/origin.js'
import { InvalidArgumentsException } from '../errors.js'
import type { RedisConnection, RedisStoreOptions } from '../types/main.js'
import type { ConfigProviderApp, RedisStoreConfig } from './types.js'

/** `config/redis.ts`, as far as anything of it is needed before it is translated. */
interface RedisConfig {
  connection?: string
  connections?: Record<string, object>
}

/** The part of `@adonisjs/redis`'s manager that gives a connection. */
interface RedisManager {
  connection(name: string): { ioConnection: RedisConnection }
}

/**
 * The factory of the store that uses a connection of `config/redis.ts`. The settings are taken from there; the connection
 * itself isn't asked for, so it isn't made either, unless its settings can't be carried over.
 *
 * The default connection unless `connectionName` is given.
 *
 * @throws InvalidArgumentsException if there is no such connection, or if no lock can be taken over it; with the code
 * E_LOCK_STORE_UNAVAILABLE if the app has no connections at all
 */
export async function resolveRedisStore(
  app: ConfigProviderApp,
  { connectionName, fencing }: RedisStoreConfig = {}
): Promise<{ factory: () => RedisStore }> {
  const config = (await app.container.make('config')) as { get(key: string): unknown }
  const { connection, connections } = (config.get('redis') ?? {}) as RedisConfig
  if (typeof connections !== 'object' || connections === null) {
    throw new RuntimeException(
      'The redis lock store takes its connection from "config/redis.ts", where there are none. ' +
        'Run "node ace add @adonisjs/redis"',
      { code: 'E_LOCK_STORE_UNAVAILABLE', status: 500 }
    )
  }

  const known = Object.keys(connections)
  const name = connectionName ?? connection
  if (typeof name !== 'string') {
    throw new InvalidArgumentsException(
      'The redis lock store needs a connection: neither "connectionName" in "config/lock.ts" nor "connection" in ' +
        '"config/redis.ts" names one'
    )
  }
  if (!known.includes(name) || !connections[name]) {
    throw new InvalidArgumentsException(
      `Unknown redis connection "${name}" of a lock store. Known connections are: ${known.join(', ')}`
    )
  }

  const source = async () => {
    // Each time anew: the manager makes another one when a connection has been closed.
    const manager = (await app.container.make('redis')) as RedisManager
    return manager.connection(name).ioConnection
  }
  const origin = Origin.ofConfig(connections[name], source, fencing)
  // Its settings have been read already; only this package makes a store that way.
  return { factory: () => new RedisStore(origin as unknown as RedisStoreOptions) }
}
