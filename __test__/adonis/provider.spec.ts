import { test } from '@japa/runner'
import { configProvider } from '@adonisjs/core'
import { Verrou, defineConfig, stores } from 'loquet'
import type { StoreFactory } from 'loquet/types'
import { MapStore, bootApp, captureLog } from './app.js'

/** Keeps a rejection for later, so that it never counts as unhandled. */
function outcomeOf(promise: Promise<unknown>) {
  return promise.then(
    (value) => ({ value, code: undefined }),
    (error: { code?: string }) => ({ value: undefined, code: error.code })
  )
}

const memoryConfig = () => defineConfig({ default: 'memory', stores: { memory: stores.memory() } })

/** The config of the documentation, with the store that `LOCK_STORE` names. */
const documentConfig = (store: 'redis' | 'database' | 'memory') =>
  defineConfig({
    default: store,
    stores: {
      redis: stores.redis({}),

      database: stores.database({
        tableName: 'locks',
      }),

      memory: stores.memory(),
    },
  })

test.group('AdonisJS | lock_provider', () => {
  test('lock.manager is one Verrou for the whole app', async ({ assert, test: current }) => {
    const app = await bootApp(current, memoryConfig())

    const manager = await app.container.make('lock.manager')
    assert.instanceOf(manager, Verrou)
    assert.strictEqual(await app.container.make('lock.manager'), manager)
  })

  test('locks exclude each other and are released', async ({ assert, test: current }) => {
    const app = await bootApp(current, memoryConfig())
    const manager = await app.container.make('lock.manager')

    const lock = manager.createLock('order.processing.1')
    assert.isTrue(await lock.acquireImmediately())
    assert.deepEqual(
      await manager.createLock('order.processing.1').runImmediately(async () => 'processed'),
      [false, null]
    )
    await lock.release()
    assert.deepEqual(
      await manager.createLock('order.processing.1').runImmediately(async () => 'processed'),
      [true, 'processed']
    )
  })

  test('services/main is the lock.manager of the booted app', async ({ assert, test: current }) => {
    const app = await bootApp(current, memoryConfig())

    const { default: locks } = await import('loquet/services/main')
    assert.strictEqual(locks, await app.container.make('lock.manager'))
    assert.deepEqual(
      await locks
        .use('memory')
        .createLock('key')
        .run(async () => 1),
      [true, 1]
    )
  })

  test('retry defaults of the config reach the locks', async ({ assert, test: current }) => {
    const app = await bootApp(
      current,
      defineConfig({
        default: 'memory',
        stores: { memory: stores.memory() },
        retry: { attempts: 1 },
      })
    )
    const manager = await app.container.make('lock.manager')

    await manager.createLock('key').acquire()
    // With the usual settings this would wait until the lease ends.
    assert.isFalse(await manager.createLock('key').acquire())
  })

  test('C16: the logger of the app gets what locks log, with the package name', async ({
    assert,
    test: current,
  }) => {
    class BrokenStore extends MapStore {
      override async delete(): Promise<void> {
        throw new Error('delete failed')
      }
    }
    const { lines, destination } = captureLog()
    const app = await bootApp(
      current,
      defineConfig({
        default: 'broken',
        stores: { broken: { driver: { factory: () => new BrokenStore() } } },
      }),
      { destination }
    )
    const manager = await app.container.make('lock.manager')

    const failing = manager.createLock('key').run(async () => {
      throw new Error('callback failed')
    })
    await assert.rejects(() => failing, 'callback failed')
    assert.isNotEmpty(lines.filter((line) => line.pkg === 'loquet' && line.level >= 40))
  })
})

test.group('AdonisJS | lock_provider | shutdown', () => {
  test('terminate ends waiting acquires with E_LOCK_CLOSED and refuses new ones', async ({
    assert,
    test: current,
  }) => {
    const app = await bootApp(current, memoryConfig())
    const manager = await app.container.make('lock.manager')

    await manager.createLock('key', null).acquire()
    const acquiring = outcomeOf(manager.createLock('key').acquire())
    const running = outcomeOf(manager.createLock('key').run(async () => 'ran'))

    await app.terminate()

    const later = outcomeOf(manager.createLock('other').acquire())
    for (const { code } of await Promise.all([acquiring, running, later])) {
      assert.equal(code, 'E_LOCK_CLOSED')
    }
  })

  test('terminate makes no manager in an app that used no lock', async ({
    assert,
    test: current,
  }) => {
    let resolutions = 0
    const counted = configProvider.create<StoreFactory>(async () => {
      resolutions++
      return { driver: { factory: () => new MapStore() } }
    })
    const app = await bootApp(current, defineConfig({ default: 'counted', stores: { counted } }))

    await app.terminate()
    assert.equal(resolutions, 0)
  })

  test('terminate leaves a manager alone that a test has swapped in', async ({
    assert,
    test: current,
  }) => {
    const app = await bootApp(current, memoryConfig())
    const double = new Verrou({
      default: 'map',
      stores: { map: { driver: { factory: () => new MapStore() } } },
    })
    app.container.bindValue('lock.manager', double as never)

    await app.terminate()
    assert.isTrue(await double.createLock('key').acquire())
    await double.close()
  })

  test('terminate works after a manager that could not be made', async ({
    assert,
    test: current,
  }) => {
    const app = await bootApp(current, {})
    await assert.rejects(() => app.container.make('lock.manager'))

    await app.terminate()
    assert.isTrue(app.isTerminated)
  })
})

test.group('AdonisJS | lock_provider | stores that cannot be used', () => {
  test("C19: the document's config boots and locks with LOCK_STORE=memory", async ({
    assert,
    test: current,
  }) => {
    const { lines, destination } = captureLog()
    const app = await bootApp(current, documentConfig('memory'), { destination })
    const manager = await app.container.make('lock.manager')

    assert.deepEqual(await manager.createLock('key').run(async () => 'ran'), [true, 'ran'])
    assert.deepEqual(
      await manager
        .use('memory')
        .createLock('key')
        .run(async () => 'ran'),
      [true, 'ran']
    )
    assert.isEmpty(lines.filter((line) => line.pkg === 'loquet' && line.level >= 40))
  })

  test('C19: a store that is not there yet fails when it is used, every time: {name}')
    .with([
      {
        name: 'redis' as const,
        message:
          'The redis lock store takes its connection from "config/redis.ts", where there are none. ' +
          'Run "node ace add @adonisjs/redis"',
      },
      {
        name: 'database' as const,
        message:
          'The database lock store takes its connection from "config/database.ts", where there are none. ' +
          'Run "node ace add @adonisjs/lucid"',
      },
    ])
    .run(async ({ assert, test: current }, { name, message }) => {
      const app = await bootApp(current, documentConfig('memory'))
      const manager = await app.container.make('lock.manager')

      for (let round = 0; round < 2; round++) {
        assert.throws(() => manager.use(name).createLock('key'), message)
      }
    })

  test('C19: as the default it fails when the manager is made: {$self}')
    .with(['redis', 'database'] as const)
    .run(async ({ assert, test: current }, name) => {
      const app = await bootApp(current, documentConfig(name))

      const { code } = await outcomeOf(app.container.make('lock.manager'))
      assert.equal(code, 'E_LOCK_STORE_UNAVAILABLE')
    })

  test('C19: an unknown connection is reported in the log and when the store is used', async ({
    assert,
    test: current,
  }) => {
    const reason = 'Unknown connection "primray"'
    const failing = configProvider.create<StoreFactory>(async () => {
      throw new Error(reason)
    })
    const { lines, destination } = captureLog()
    const app = await bootApp(
      current,
      defineConfig({ default: 'memory', stores: { memory: stores.memory(), failing } }),
      { destination }
    )
    const manager = await app.container.make('lock.manager')

    const warnings = lines.filter((line) => line.pkg === 'loquet' && line.level === 40)
    assert.lengthOf(warnings, 1)
    assert.include(warnings[0], { store: 'failing', reason })
    assert.throws(() => manager.use('failing'), reason)
    assert.deepEqual(await manager.createLock('key').run(async () => 'ran'), [true, 'ran'])
  })

  test('C19: the error of the default store passes through untouched', async ({
    assert,
    test: current,
  }) => {
    const failure = new Error('Unknown connection "primray"')
    const failing = configProvider.create<StoreFactory>(async () => {
      throw failure
    })
    const app = await bootApp(
      current,
      defineConfig({ default: 'failing', stores: { memory: stores.memory(), failing } })
    )

    let caught: unknown
    await app.container.make('lock.manager').catch((error: unknown) => (caught = error))
    assert.strictEqual(caught, failure)
  })

  test('C19: a provider that resolves to something else is named', async ({
    assert,
    test: current,
  }) => {
    const resolveTo = (value: unknown) =>
      configProvider.create<StoreFactory>(async () => value as StoreFactory)
    const app = await bootApp(
      current,
      defineConfig({
        default: 'memory',
        stores: {
          memory: stores.memory(),
          nothing: resolveTo(undefined),
          naked: resolveTo({ factory: () => new MapStore() }),
          nested: resolveTo(stores.memory()),
        },
      })
    )
    const manager = await app.container.make('lock.manager')

    assert.throws(
      () => manager.use('nothing'),
      'Invalid "stores.nothing" in lock config: expected a store factory or a config provider, got undefined'
    )
    assert.throws(() => manager.use('naked'), /Invalid "stores\.naked".+"driver" around "factory"/)
    assert.throws(
      () => manager.use('nested'),
      'Invalid "stores.nested" in lock config: a config provider resolved to another one'
    )
  })

  test('C19: use of an unknown name lists the known ones', async ({ assert, test: current }) => {
    const app = await bootApp(current, documentConfig('memory'))
    const manager = await app.container.make('lock.manager')

    const use = manager.use.bind(manager) as (name: string) => unknown
    assert.throws(() => use('rediss'), /rediss/)
    assert.throws(() => use('rediss'), /redis.*database.*memory/)
  })

  test('C19: a missing config file gives the message of defineConfig', async ({
    assert,
    test: current,
  }) => {
    const app = await bootApp(current, undefined)

    await assert.rejects(
      () => app.container.make('lock.manager'),
      'Missing "stores" property in lock config'
    )
  })
})

test.group('AdonisJS | lock_provider | custom stores', () => {
  const mapStore = (): StoreFactory => ({ driver: { factory: () => new MapStore() } })

  test('C1: a custom store excludes, given as {form}')
    .with([
      { form: 'plain factory', store: mapStore },
      { form: 'ConfigProvider', store: () => configProvider.create(async () => mapStore()) },
    ])
    .run(async ({ assert, test: current }, { store }) => {
      const app = await bootApp(
        current,
        defineConfig({ default: 'custom', stores: { custom: store() } })
      )
      const manager = await app.container.make('lock.manager')

      const lock = manager.createLock('key')
      assert.isTrue(await lock.acquire())
      assert.isFalse(await manager.createLock('key').acquireImmediately())
      await lock.release()
      assert.deepEqual(await manager.createLock('key').run(async () => 1), [true, 1])
    })

  test('a ConfigProvider is resolved once, with the app', async ({ assert, test: current }) => {
    const seen: unknown[] = []
    const custom = configProvider.create<StoreFactory>(async (container) => {
      seen.push(container)
      return mapStore()
    })
    const app = await bootApp(current, defineConfig({ default: 'custom', stores: { custom } }))

    const manager = await app.container.make('lock.manager')
    await manager.createLock('a').acquire()
    await manager.createLock('b').acquire()
    assert.lengthOf(seen, 1)
    assert.strictEqual(seen[0], app)
  })
})
