import { Env } from '@adonisjs/core/env'

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
  LOCK_STORE: Env.schema.enum(['redis', 'database', 'memory'] as const),

  /**
   * How long a payment takes, in milliseconds.
   */
  PAYMENT_TIME: Env.schema.number.optional(),
})
