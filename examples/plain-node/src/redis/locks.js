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
    ioredis: { driver: redisStore({ connection: redis }) },
  },
})
