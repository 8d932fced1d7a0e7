import env from '#start/env'
import { defineConfig } from '@adonisjs/redis'
import type { InferConnections } from '@adonisjs/redis/types'

const server = {
  host: env.get('REDIS_HOST'),
  port: env.get('REDIS_PORT'),
  password: env.get('REDIS_PASSWORD', ''),
  db: 0,
  keyPrefix: '',
  retryStrategy(times: number) {
    return times > 10 ? null : times * 50
  },
}

const redisConfig = defineConfig({
  connection: 'main',

  connections: {
    main: { ...server },

    /**
     * A process that waits for jobs blocks this connection, so nobody else should use it.
     */
    queue: { ...server },
  },
})

export default redisConfig

declare module '@adonisjs/redis/types' {
  export interface RedisConnections extends InferConnections<typeof redisConfig> {}
}
