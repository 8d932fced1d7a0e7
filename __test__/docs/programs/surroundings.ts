/**
 * What programs of several pages need around their samples.
 */

export const ASSERT = "import assert from 'node:assert/strict'"

interface Parts {
  /** What `config/redis.ts` and `config/database.ts` say, as code. */
  redis?: string
  database?: string
  /** The name that this package is installed under. */
  name?: string
}

/** Boots an AdonisJS app as `app` whose `config/lock.ts` exports `lock`, and gives its lock manager as `locks`. */
export function bootApp({ redis, database, name = '@adonisjs/lock' }: Parts = {}): string {
  const providers = [`${name}/lock_provider`]
  if (redis !== undefined) providers.push('@adonisjs/redis/redis_provider')
  if (database !== undefined) providers.push('@adonisjs/lucid/database_provider')
  return `
    import { IgnitorFactory } from '@adonisjs/core/factories'
    const app = new IgnitorFactory()
      .withCoreProviders()
      .withCoreConfig()
      .merge({
        rcFileContents: {
          providers: [${providers.map((each) => `() => import('${each}')`).join(', ')}],
        },
        config: { lock, redis: ${redis}, database: ${database} },
      })
      .create(new URL('./', import.meta.url))
      .createApp('web')
    await app.init()
    await app.boot()
    const locks = await app.container.make('lock.manager')`
}

/** That a lock excludes: \`locks\` is a LockService or a Verrou. */
export const USE = `
  {
    const [first, second] = [locks.createLock('order.1'), locks.createLock('order.1')]
    assert.equal(await first.acquireImmediately(), true)
    assert.equal(await second.acquireImmediately(), false)
    await first.release()
    assert.equal(await second.acquireImmediately(), true)
    await second.release()
  }`
