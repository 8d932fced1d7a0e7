import { Env } from '@adonisjs/core/env'

function hasNoDatabaseServer() {
  return !['pg', 'mysql'].includes(process.env.DB_CONNECTION ?? '')
}

/**
 * Reads the `.env` files and validates the environment: the application doesn't start with a variable that is missing
 * or wrong.
 */
export default await Env.create(new URL('../', import.meta.url), {
  NODE_ENV: Env.schema.enum(['development', 'production', 'test'] as const),
  HOST: Env.schema.string({ format: 'host' }),
  PORT: Env.schema.number(),
  APP_KEY: Env.schema.string(),
  APP_NAME: Env.schema.string.optional(),
  LOG_LEVEL: Env.schema.enum([
    'fatal',
    'error',
    'warn',
    'info',
    'debug',
    'trace',
    'silent',
  ] as const),

  /**
   * The store of `locks.createLock`.
   */
  LOCK_STORE: Env.schema.enum(['redis', 'database', 'dynamodb', 'memory'] as const),

  /**
   * The server of `config/redis.ts`. There need not be one unless the locks are in Redis.
   */
  REDIS_HOST: Env.schema.string.optionalWhen(() => process.env.LOCK_STORE !== 'redis', {
    format: 'host',
  }),
  REDIS_PORT: Env.schema.number.optionalWhen(() => process.env.LOCK_STORE !== 'redis'),
  REDIS_PASSWORD: Env.schema.string.optional(),

  /**
   * The connection of `config/database.ts`, SQLite unless it is said, and the server for the others.
   */
  DB_CONNECTION: Env.schema.enum.optional(['sqlite', 'pg', 'mysql'] as const),
  DB_HOST: Env.schema.string.optionalWhen(hasNoDatabaseServer, { format: 'host' }),
  DB_PORT: Env.schema.number.optionalWhen(hasNoDatabaseServer),
  DB_USER: Env.schema.string.optionalWhen(hasNoDatabaseServer),
  DB_PASSWORD: Env.schema.string.optional(),
  DB_DATABASE: Env.schema.string.optionalWhen(hasNoDatabaseServer),

  /**
   * Where DynamoDB is and who asks, in the words of its client, which has other ways to find out too.
   */
  AWS_REGION: Env.schema.string.optional(),
  AWS_ACCESS_KEY_ID: Env.schema.string.optional(),
  AWS_SECRET_ACCESS_KEY: Env.schema.string.optional(),
  AWS_ENDPOINT_URL_DYNAMODB: Env.schema.string.optional({ format: 'url', tld: false }),

  /**
   * Where to pay: orders are posted there and are paid for when the answer comes.
   */
  PAYMENT_URL: Env.schema.string.optional({ format: 'url', tld: false }),

  /**
   * How long a payment takes without a PAYMENT_URL, in milliseconds.
   */
  PAYMENT_TIME: Env.schema.number.optional(),
})
