import { sample } from '../program.js'
import type { Program } from '../program.js'
import { ASSERT, USE, bootApp } from './surroundings.js'

const CONFIG = `{
  connection: 'main',
  connections: { main: { host: '127.0.0.1', port: Number(new URL(process.env.REDIS_URL!).port) } },
}`

export const redis: Record<string, Program> = {
  'Redis: config/lock.ts': {
    parts: [
      `${ASSERT}
      import { defineConfig, stores } from '@adonisjs/lock'
      const env = { get: (_: 'LOCK_STORE') => 'redis' as const }`,
      sample('docs/redis.md#four-ways-to-say-where'),
      `const lock = lockConfig
      ${bootApp({ redis: CONFIG })}
      ${USE}
      await app.terminate()`,
    ],
    servers: ['redis'],
  },

  'Redis: an ioredis instance': {
    parts: [
      ASSERT,
      sample('docs/redis.md#four-ways-to-say-where:2'),
      `const locks = verrou
      ${USE}
      await verrou.close()
      connection.disconnect()`,
    ],
    addresses: { 'redis://localhost:6379': 'redis' },
  },

  // They name servers that don't exist: stores are made, and nothing is connected before the first lock.
  'Redis: plain options': {
    parts: [
      `import { rootCertificates } from 'node:tls'
      import { RedisStore } from 'loquet/drivers/redis'
      import type { RedisStoreOptions } from 'loquet/types'
      const redisStore = (options: RedisStoreOptions) => new RedisStore(options)
      const password = 'secret'
      const [ca] = rootCertificates`,
      sample('docs/redis.md#four-ways-to-say-where:3'),
    ],
  },
}
