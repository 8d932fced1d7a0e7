/**
 * The contract on the app's own ioredis connection.
 */
import { Redis } from 'ioredis'
import { RedisStore } from 'loquet/drivers/redis'

import { registerContract } from './contract.js'

const connections: Redis[] = []
let spaces = 0

await registerContract({
  topology: 'standalone',
  name: 'Redis on the own connection',
  isNative: false,
  isThorough: true,
  isFenced: 'saveFenced' in RedisStore.prototype,
  // What there is to say about such a connection has been said then.
  isWarmed: true,
  createStore({ options }) {
    // With an option that only ioredis could understand the connection is used as it is.
    const connection = new Redis({ ...options(`own ${spaces++}:`), shoeSize: 43 } as object)
    connections.push(connection)
    return new RedisStore({ connection })
  },
  stop() {
    for (const connection of connections) connection.disconnect()
  },
})
