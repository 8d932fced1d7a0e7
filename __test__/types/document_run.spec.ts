/**
 * The code samples of the user guide do what the guide says: compiled one by one, word for word, and run in an AdonisJS
 * app whose `@adonisjs/lock` is this package, on the memory store.
 */
import { test } from '@japa/runner'
import { IgnitorFactory } from '@adonisjs/core/factories'
import { HttpContextFactory } from '@adonisjs/core/factories/http'
import ts from 'typescript'
import type { HttpContext } from '@adonisjs/core/http'
import type { Assert } from '@japa/assert'
import type { TestContext } from '@japa/runner/core'
import type { LockService, LockStore, SerializedLock } from 'loquet/types'
import { createConsumer } from './consumer.js'
import { APP, APP_MANIFEST, composeFile, readSample } from './samples.js'
import type { Consumer } from './consumer.js'

type CurrentTest = TestContext['test']
type AppConfig = Parameters<IgnitorFactory['merge']>[0]['config']

interface Controller {
  process(context: HttpContext): Promise<unknown>
}

/** What the samples expect of the app around them. */
interface Globals {
  processOrder(): Promise<void>
  queue: { dispatch(job: string, payload: { lock: SerializedLock }): void }
}

/** A config of the memory store alone, with the name of the store that the guide uses by name. */
const NAMED_STORES = `
import { defineConfig, stores } from '@adonisjs/lock'
import { memoryStore } from '@adonisjs/lock/drivers/memory'
export default defineConfig({
  default: 'memory',
  stores: { memory: stores.memory(), redis: { driver: memoryStore() } },
})
`

function transpile(code: string) {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
  })
  return outputText
}

/** Sets properties of an object until the test ends. */
function replace(current: CurrentTest, target: object, properties: object) {
  for (const [name, value] of Object.entries(properties)) {
    const before = Object.getOwnPropertyDescriptor(target, name)
    current.cleanup(() => {
      if (before === undefined) Reflect.deleteProperty(target, name)
      else Object.defineProperty(target, name, before)
    })
    if (value === undefined) Reflect.deleteProperty(target, name)
    else Reflect.set(target, name, value)
  }
}

/** Writes the app of the guide, as JavaScript, with both of its environment files. */
async function writeGuide(current: CurrentTest) {
  const consumer = await createConsumer({
    installedAs: ['@adonisjs/lock'],
    manifest: APP_MANIFEST,
  })
  current.cleanup(() => consumer.remove())
  for (const path of Object.keys(APP)) {
    await consumer.write(path.replace('.ts', '.js'), transpile(composeFile(path)))
  }
  await consumer.write('.env', readSample('default.env'))
  await consumer.write('.env.test', readSample('testing.env'))
  // AdonisJS takes variables that are set over those of the files, and sets the others.
  replace(current, process.env, { NODE_ENV: 'test', LOCK_STORE: undefined })
  return consumer
}

/** Boots the app as AdonisJS would, with the guide's `adonisrc.ts` and one of its configs. */
async function bootGuide(current: CurrentTest, consumer: Consumer, config = 'config/lock.js') {
  const { default: rcFile } = await consumer.import('adonisrc.js')
  const { default: lock } = await consumer.import(config)
  const app = new IgnitorFactory()
    .withCoreProviders()
    .withCoreConfig()
    .merge({ rcFileContents: { providers: rcFile.providers }, config: { lock } as AppConfig })
    .create(consumer.url)
    .createApp('web')
  current.cleanup(() => app.terminate())
  await app.init()
  await app.boot()
  const locks = (await app.container.make('lock.manager')) as LockService
  return { app, locks }
}

/** Sends an order to a controller of the guide. */
async function send(controller: Controller, order: number) {
  const context = new HttpContextFactory().create()
  context.request.setInitialBody({ order_id: order })
  return controller.process(context)
}

/** An order whose processing ends when it is told to. */
function createOrders(current: CurrentTest) {
  const orders = {
    started: 0,
    finish: () => {},
    fail: (_error: Error) => {},
  }
  const globals: Partial<Globals> = {
    processOrder() {
      orders.started++
      return new Promise<void>((resolve, reject) => {
        orders.finish = resolve
        orders.fail = reject
      })
    },
  }
  replace(current, globalThis, globals)
  return orders
}

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

test.group('User guide | config', () => {
  test('LOCK_STORE of .env.test is the default store', async ({ assert, test: current }) => {
    const consumer = await writeGuide(current)
    const { default: config } = await consumer.import('config/lock.js')

    assert.equal(config.default, 'memory')
    assert.sameMembers(Object.keys(config.stores), ['redis', 'database', 'memory'])
  })

  test('LOCK_STORE of .env is the default store elsewhere', async ({ assert, test: current }) => {
    const consumer = await writeGuide(current)
    replace(current, process.env, { NODE_ENV: 'development' })
    const { default: config } = await consumer.import('config/lock.js')

    assert.equal(config.default, 'redis')
  })

  test('another LOCK_STORE is refused by the validation of the guide', async ({
    assert,
    test: current,
  }) => {
    const consumer = await writeGuide(current)
    replace(current, process.env, { LOCK_STORE: 'dynamodb' })

    await assert.rejects(() => consumer.import('config/lock.js'), /environment variables/i)
  })

  test('the options of a store make a config of it: {$self}')
    .with(['redis', 'database', 'memory'] as const)
    .run(async ({ assert, test: current }, name) => {
      const consumer = await writeGuide(current)
      const { default: config } = await consumer.import(`config/${name}_options.js`)

      assert.equal(config.default, name)
      assert.equal(config.stores[name].type, 'provider')
    })
})

test.group('User guide | locking a resource', () => {
  test('of several requests for one order one is processed: {$self}')
    .with(['manual_locking', 'automatic_locking'] as const)
    .run(async ({ assert, test: current }, name) => {
      const consumer = await writeGuide(current)
      await bootGuide(current, consumer)
      const orders = createOrders(current)
      const { default: OrderController } = await consumer.import(`app/controllers/${name}.js`)
      const controller = new OrderController() as Controller

      const first = send(controller, 1)
      await until(() => orders.started === 1)
      assert.deepEqual(await Promise.all([send(controller, 1), send(controller, 1)]), [
        'Order is already being processed',
        'Order is already being processed',
      ])
      orders.finish()
      assert.equal(await first, 'Order processed successfully')
      assert.equal(orders.started, 1)
    })

  test('another order is processed meanwhile, and the same one afterwards: {$self}')
    .with(['manual_locking', 'automatic_locking'] as const)
    .run(async ({ assert, test: current }, name) => {
      const consumer = await writeGuide(current)
      await bootGuide(current, consumer)
      const orders = createOrders(current)
      const { default: OrderController } = await consumer.import(`app/controllers/${name}.js`)
      const controller = new OrderController() as Controller

      for (const [index, order] of [1, 2, 1].entries()) {
        const sent = send(controller, order)
        await until(() => orders.started === index + 1)
        orders.finish()
        assert.equal(await sent, 'Order processed successfully')
      }
    })

  test('an order that fails leaves no lock behind: {$self}')
    .with(['manual_locking', 'automatic_locking'] as const)
    .run(async ({ assert, test: current }, name) => {
      const consumer = await writeGuide(current)
      const { locks } = await bootGuide(current, consumer)
      const orders = createOrders(current)
      const { default: OrderController } = await consumer.import(`app/controllers/${name}.js`)

      const sent = send(new OrderController() as Controller, 1)
      await until(() => orders.started === 1)
      assert.isTrue(await locks.createLock('order.processing.1').isLocked())
      orders.fail(new Error('out of stock'))
      await assert.rejects(() => sent, 'out of stock')
      assert.isFalse(await locks.createLock('order.processing.1').isLocked())
    })
})

test.group('User guide | choosing a store', () => {
  test('use() makes locks of that store, createLock() those of the default', async ({
    assert,
    test: current,
  }) => {
    const consumer = await writeGuide(current)
    await consumer.write('config/named_stores.js', NAMED_STORES)
    const { locks } = await bootGuide(current, consumer, 'config/named_stores.js')
    const { lock: named } = await consumer.import('app/named_store.js')
    const { lock: byDefault } = await consumer.import('app/default_store.js')

    assert.equal(named.serialize().key, byDefault.serialize().key)
    assert.isTrue(await named.acquireImmediately())
    assert.isTrue(await byDefault.acquireImmediately())
    assert.isFalse(await locks.createLock('order.processing.1').acquireImmediately())
    assert.isFalse(await locks.use('redis').createLock('order.processing.1').acquireImmediately())
    await named.release()
    assert.isTrue(await byDefault.isLocked())
  })
})

test.group('User guide | locks across processes', () => {
  test('a background job releases the lock that a request acquired', async ({
    assert,
    test: current,
  }) => {
    const consumer = await writeGuide(current)
    const { locks } = await bootGuide(current, consumer)
    const orders = createOrders(current)
    const jobs: string[] = []
    const globals: Partial<Globals> = {
      // What a queue keeps is text: nothing of the lock but its JSON arrives in the job.
      queue: { dispatch: (job, payload) => jobs.push(JSON.stringify({ job, payload })) },
    }
    replace(current, globalThis, globals)
    const { OrderController } = await consumer.import('app/controllers/main_server.js')
    const { ProcessOrder } = await consumer.import('app/jobs/background_job.js')

    await send(new OrderController() as Controller, 1)
    const { job, payload } = JSON.parse(jobs[0])
    assert.equal(job, 'app/jobs/process_order')
    assert.sameMembers(Object.keys(payload.lock), ['key', 'owner', 'ttl', 'expirationTime'])
    assert.isFalse(await locks.createLock('order.processing.1').acquireImmediately())

    const handled = new ProcessOrder().handle(payload)
    await until(() => orders.started === 1)
    assert.isTrue(await locks.createLock('order.processing.1').isLocked())
    orders.finish()
    await handled
    assert.isFalse(await locks.createLock('order.processing.1').isLocked())
  })
})

test.group('User guide | custom store', () => {
  /** Nothing is ever acquired; what the store's methods return instead of throwing is taken for done. */
  async function assertRefuses(assert: Assert, locks: LockService) {
    const lock = locks.createLock('key')
    assert.isFalse(await lock.acquireImmediately())
    assert.isFalse(await lock.acquire({ retry: { attempts: 3, delay: 1 } }))
    assert.isFalse(await lock.acquire({ retry: { timeout: 30, delay: 1 } }))
    let calls = 0
    assert.deepEqual(await lock.runImmediately(async () => calls++), [false, null])
    assert.deepEqual(await lock.run(async () => calls++, { retry: { attempts: 2, delay: 1 } }), [
      false,
      null,
    ])
    assert.equal(calls, 0)
    assert.isFalse(await lock.isLocked())
    assert.isUndefined(await lock.release())
    assert.isUndefined(await lock.forceRelease())
    assert.isUndefined(await lock.extend('10s'))
    assert.isUndefined(await locks.restoreLock(lock.serialize()).release())
    assert.isUndefined(await locks.use('noop').createLock('key').release())
  }

  test('the Noop store refuses every lock', async ({ assert, test: current }) => {
    const consumer = await writeGuide(current)
    const { locks } = await bootGuide(current, consumer, 'config/noop_lock.js')

    await assertRefuses(assert, locks)
  })

  test('so it does with synchronous methods', async ({ assert, test: current }) => {
    const consumer = await writeGuide(current)
    const synchronous = transpile(composeFile('config/noop_lock.ts')).replaceAll('async ', '')
    await consumer.write('config/noop_lock.js', synchronous)
    const { NoopStore } = await consumer.import('config/noop_lock.js')
    assert.isFalse((new NoopStore() as LockStore).save('key', 'owner', null))
    const { locks } = await bootGuide(current, consumer, 'config/noop_lock.js')

    await assertRefuses(assert, locks)
  })

  test('its factory is called once, when the store is wanted', async ({
    assert,
    test: current,
  }) => {
    const consumer = await writeGuide(current)
    const { NoopStore, noopStore } = await consumer.import('config/noop_lock.js')
    const { Verrou } = await import('loquet')
    const { factory } = noopStore({}).driver
    let made = 0
    const verrou = new Verrou({
      default: 'noop',
      stores: {
        noop: {
          driver: {
            factory: () => {
              made++
              return factory()
            },
          },
        },
      },
    })

    assert.equal(made, 0)
    verrou.createLock('key')
    verrou.use('noop').createLock('key')
    assert.equal(made, 1)
    assert.instanceOf(factory(), NoopStore)
  })
})
