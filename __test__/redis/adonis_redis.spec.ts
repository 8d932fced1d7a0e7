/**
 * `stores.redis()` in an AdonisJS app: settings come from `config/redis.ts`.
 */
import { test } from '@japa/runner'
import { defineConfig as defineRedisConfig } from '@adonisjs/redis'
import { LockFactory, defineConfig, stores } from 'loquet'
import { RedisStore } from 'loquet/drivers/redis'
import type { ApplicationService } from '@adonisjs/core/types'
import type { TestContext } from '@japa/runner/core'

import { bootApp, captureLog } from '../adonis/app.js'
import { errorOf, until } from '../unit/observe.js'
import { startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

const lockConfig = (connectionName?: string) =>
  defineConfig({
    default: 'redis',
    stores: { memory: stores.memory(), redis: stores.redis({ connectionName }) },
  })

/** An app whose `config/redis.ts` is the given one; it has nothing else. */
const appWith = (redis: unknown) => ({
  container: {
    make: async (binding: string): Promise<unknown> => {
      if (binding !== 'config') throw new Error(`unexpected binding ${binding}`)
      return { get: (key: string) => (key === 'redis' ? redis : undefined) }
    },
  },
})

/** How many connections `@adonisjs/redis` has made. */
async function connectionsOf(app: ApplicationService): Promise<number> {
  const manager = (await app.container.make('redis')) as { activeConnectionsCount: number }
  return manager.activeConnectionsCount
}

test.group('AdonisJS | redis, names', () => {
  const connections = { main: { host: 'one' }, cache: { host: 'two' } }

  test('the connection is the default one, or the named one: {$self}')
    .with([undefined, 'main', 'cache'])
    .run(async ({ assert }, connectionName) => {
      const app = appWith({ connection: 'main', connections })
      const { driver } = await stores.redis({ connectionName }).resolver(app)

      assert.instanceOf(driver.factory(), RedisStore)
      assert.notStrictEqual(driver.factory(), driver.factory())
    })

  test('C19: an unknown connection is an error with the known ones: {$self}')
    .with(['primray', 'constructor', ''])
    .run(async ({ assert }, connectionName) => {
      const resolver = () =>
        stores.redis({ connectionName }).resolver(appWith({ connection: 'main', connections }))
      const error = await errorOf(resolver)

      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      assert.equal(
        error.message,
        `Unknown redis connection "${connectionName}" of a lock store. Known connections are: main, cache`
      )
    })

  test('C19: a default that is missing or unknown is told', async ({ assert }) => {
    const nameless = await errorOf(() => stores.redis().resolver(appWith({ connections })))
    assert.include(
      nameless.message,
      'neither "connectionName" in "config/lock.ts" nor "connection"'
    )

    const unknown = await errorOf(() =>
      stores.redis().resolver(appWith({ connection: 'other', connections }))
    )
    assert.include(unknown.message, 'Unknown redis connection "other"')
  })

  test('C19: an app without @adonisjs/redis is told what to do: {$self}')
    .with(['nothing', 'an empty object', 'no connections'])
    .run(async ({ assert }, kind) => {
      const redis = {
        'nothing': undefined,
        'an empty object': {},
        'no connections': { connections: null },
      }
      const error = await errorOf(() =>
        stores.redis().resolver(appWith(redis[kind as keyof typeof redis]))
      )

      assert.equal(error.code, 'E_LOCK_STORE_UNAVAILABLE')
      assert.include(error.message, 'Run "node ace add @adonisjs/redis"')
    })

  test('C19: a replica is refused when the app boots', async ({ assert }) => {
    const replica = { sentinels: [{ host: 'a' }], name: 'main', role: 'slave' }
    const error = await errorOf(() =>
      stores.redis().resolver(appWith({ connection: 'main', connections: { main: replica } }))
    )

    assert.include(error.message, 'no lock can be taken on a replica')
  })
})

test.group('AdonisJS | redis, app', (group) => {
  let server: RedisServer
  group.setup(async () => {
    server = await startStandalone({ requirepass: 'hunter2' })
    return () => server.stop()
  })

  const redisConfig = (options: object = {}) =>
    defineRedisConfig({
      connection: 'main',
      connections: {
        main: { host: server.host, port: String(server.port), password: 'hunter2', ...options },
        unused: { host: 'localhost', port: 1 },
      },
    })
  const boot = (
    current: TestContext['test'],
    options?: object,
    destination?: NodeJS.WritableStream
  ) => bootApp(current, lockConfig(), { redis: redisConfig(options), destination })

  /** A connection of the app that locks can't be moved from. */
  const OWN = { shoeSize: 43 }

  for (const { kind, options, made } of [
    { kind: 'a native connection', options: {}, made: 0 },
    { kind: "the app's own connection", options: OWN, made: 1 },
  ]) {
    test(`${kind} is made by the first lock, with the settings of config/redis.ts`, async ({
      assert,
      test: current,
    }) => {
      const app = await boot(current, { keyPrefix: 'app:', db: 2, ...options })
      const manager = await app.container.make('lock.manager')
      const lock = manager.use('redis').createLock('order.1')
      assert.equal(await connectionsOf(app), 0)

      assert.isTrue(await lock.acquireImmediately())
      assert.equal(await connectionsOf(app), made)
      const [, , owner] = await server.send(
        ['AUTH', 'hunter2'],
        ['SELECT', 2],
        ['GET', 'app:order.1']
      )
      assert.equal(owner, lock.getOwner())
      await manager.restoreLock(lock.serialize()).release()
      assert.isFalse(await lock.isLocked())
    })

    test(`the shutdown ends waits on ${kind}, and closes what is the store's own`, async ({
      assert,
      test: current,
    }) => {
      const app = await boot(current, { connectionName: 'locks', ...options })
      const manager = await app.container.make('lock.manager')
      const held = manager.createLock(kind, null)
      assert.isTrue(await held.acquire())
      const waiting = errorOf(() => manager.createLock(kind).acquire())
      const clients = async () => {
        const list = await server.cli('CLIENT', 'LIST')
        return list.split('\n').filter((line) => line.includes('name=locks')).length
      }
      await until(async () => (await clients()) > 0)

      await app.terminate()
      const { code } = await waiting
      assert.equal(code, 'E_LOCK_CLOSED')
      await until(async () => (await clients()) === 0)
    })
  }

  test('what is held is released at the end of the shutdown', async ({ assert, test: current }) => {
    const app = await boot(current)
    const manager = await app.container.make('lock.manager')
    const held = manager.createLock('late', null)
    await held.acquire()
    await app.terminate()

    assert.equal(await server.cli('EXISTS', 'late'), '0')
    const error = await errorOf(() => held.release())
    assert.equal(error.code, 'E_LOCK_NOT_OWNED')
  })

  test('the own connection is told once in the log of the app, with the option', async ({
    assert,
    test: current,
  }) => {
    const { lines, destination } = captureLog()
    const app = await boot(current, OWN, destination)
    const manager = await app.container.make('lock.manager')
    for (let round = 0; round < 3; round++) await manager.createLock('key').run(() => {})

    const told = lines.filter(({ level }) => level === 40)
    assert.lengthOf(told, 1)
    assert.include(told[0], {
      pkg: 'loquet',
      store: 'redis',
      msg: `The redis lock store runs on the app's own ioredis connection, since the option "shoeSize" isn't known`,
    })
  })

  test('another connection of the app takes the place of one that was closed', async ({
    assert,
    test: current,
  }) => {
    const app = await boot(current, OWN)
    const manager = await app.container.make('lock.manager')
    await manager.createLock('key').run(() => {})
    const redis = (await app.container.make('redis')) as { quit(): Promise<unknown> }
    await redis.quit()
    await until(async () => (await connectionsOf(app)) === 0)

    assert.deepEqual(await manager.createLock('key').run(() => 'ran'), [true, 'ran'])
  })

  test('C19: an unknown connection fails the boot where it is the default, else only its use', async ({
    assert,
    test: current,
  }) => {
    const { lines, destination } = captureLog()
    const app = await bootApp(
      current,
      defineConfig({
        default: 'memory',
        stores: { memory: stores.memory(), redis: stores.redis({ connectionName: 'primray' }) },
      }),
      { redis: redisConfig(), destination }
    )
    const manager = await app.container.make('lock.manager')
    assert.throws(() => manager.use('redis'), /"primray".+main, unused/)
    assert.lengthOf(
      lines.filter(({ level, pkg }) => level === 40 && pkg === 'loquet'),
      1
    )

    const failing = await bootApp(current, lockConfig('primray'), { redis: redisConfig() })
    const error = await errorOf(() => failing.container.make('lock.manager'))
    assert.include(error.message, 'primray')
  })

  test('a store of one app is a store like any other', async ({ assert, test: current }) => {
    const app = await boot(current)
    const { driver } = await stores.redis().resolver(app as never)
    const factory = new LockFactory(driver.factory())

    assert.deepEqual(await factory.createLock('key').run(() => 'ran'), [true, 'ran'])
  })
})
