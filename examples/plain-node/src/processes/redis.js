import { Redis } from 'ioredis'
import { Verrou } from 'loquet'
import { redisStore } from 'loquet/drivers/redis'

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'

/**
 * The connection that the application has anyway.
 */
export const redis = new Redis(url, { lazyConnect: true })

/**
 * Locks that all processes with the same server compete for.
 */
export const locks = new Verrou({
  default: 'url',
  stores: {
    /**
     * By a URL: without ioredis.
     */
    url: { driver: redisStore({ url }) },

    /**
     * By an ioredis instance, whose settings are taken.
     */
    client: { driver: redisStore({ connection: redis }) },
  },
})

/**
 * A number in Redis that anybody may read and write.
 *
 * @type {import('./main.js').Counter}
 */
export const counter = {
  async reset() {
    await redis.set('count', 0)
  },

  async read() {
    return Number(await redis.get('count'))
  },

  async write(count) {
    await redis.set('count', count)
  },
}

/**
 * Rejects where there is no server.
 */
export async function open() {
  await redis.connect()
}

export const missing =
  'No Redis server. Start one (redis-server), or say where it is: REDIS_URL=redis://host:port'

export async function close() {
  await locks.close()
  redis.disconnect()
}
