/**
 * The contract for stores that are given an ioredis instance: its settings, or the connection itself.
 */
import { Redis } from 'ioredis'
import { LockFactory } from 'loquet'
import { RedisStore } from 'loquet/drivers/redis'

import { registerContract } from './contract.js'
import { newPrefix } from './topologies.js'
import type { Running } from './topologies.js'
import { RecordingLogger } from '../unit/recording_logger.js'

const connections: Redis[] = []

/** A class that may do whatever it likes with a command, so no store can know what its settings mean. */
class AppRedis extends Redis {}

function connect(running: Running, Client: typeof Redis): Redis {
  const connection = new Client({ ...running.options(newPrefix()), lazyConnect: true } as object)
  connections.push(connection)
  return connection
}

function disconnect(): void {
  for (const connection of connections.splice(0)) connection.disconnect()
}

await registerContract({
  name: 'Redis, with the settings of an ioredis instance',
  topology: 'standalone',
  createStore: (running) => new RedisStore({ connection: connect(running, Redis) }),
  stop: disconnect,
})

await registerContract({
  name: "Redis, on the app's own ioredis connection",
  topology: 'standalone',
  isNative: false,
  createStore: (running) => {
    const store = new RedisStore({ connection: connect(running, AppRedis) })
    // It says once what it runs on; here nobody wants to hear it.
    new LockFactory(store, { logger: new RecordingLogger() })
    return store
  },
  stop: disconnect,
})
