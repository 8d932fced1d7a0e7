import { test } from '@japa/runner'
import { Verrou, defineConfig, stores } from 'loquet'
import { DynamoDBStore } from 'loquet/drivers/dynamodb'
import { MemoryStore } from 'loquet/drivers/memory'
import type { Lock } from 'loquet'

import { bootApp } from './app.js'

/** An app whose container has nothing: these stores must not ask it for anything. */
const app = {
  container: {
    make: async (binding: string): Promise<unknown> => {
      throw new Error(`unexpected binding ${binding}`)
    },
  },
}

test.group('AdonisJS | stores', () => {
  test('stores are config providers', ({ assert }) => {
    const providers = [
      stores.memory(),
      stores.redis({}),
      stores.redis({ connectionName: 'main' }),
      stores.database(),
      stores.database({ tableName: 'locks' }),
      stores.dynamodb({ table: { name: 'locks' }, connection: { send: async () => ({}) } }),
    ]

    for (const provider of providers) {
      assert.equal(provider.type, 'provider')
      assert.isFunction(provider.resolver)
    }
  })

  test('memory resolves to a store factory of the memory store', async ({ assert }) => {
    const { driver } = await stores.memory().resolver(app)

    assert.instanceOf(driver.factory(), MemoryStore)
  })

  test('memory is private to its instance, and one lock space by name when shared', async ({
    assert,
  }) => {
    const create = async (shared?: string) =>
      new Verrou({
        default: 'memory',
        stores: { memory: await stores.memory(shared ? { shared } : undefined).resolver(app) },
      })

    const [own, other] = await Promise.all([create(), create()])
    assert.isTrue(await own.createLock('key').acquireImmediately())
    assert.isTrue(await other.createLock('key').acquireImmediately())

    const shared = await Promise.all([create('adonis-stores'), create('adonis-stores')])
    const [first, second] = shared.map((verrou) => verrou.createLock('key'))
    assert.isTrue(await first.acquireImmediately())
    assert.isFalse(await second.acquireImmediately())
    await first.release()
    assert.isTrue(await second.acquireImmediately())
    await second.release()
  })

  test('dynamodb resolves to a store factory of the DynamoDB store, which asks for nothing', async ({
    assert,
  }) => {
    const connection = { send: () => assert.fail('nobody wants a lock yet') as never }
    const { driver } = await stores.dynamodb({ table: { name: 'locks' }, connection }).resolver(app)

    assert.instanceOf(driver.factory(), DynamoDBStore)
  })

  test('C19: a config of the DynamoDB store that lacks something says so when the store is made')
    .with([
      {
        config: { table: { name: 'locks' } },
        says: /option "connection" of the DynamoDB lock store/,
      },
      {
        config: { connection: { send: async () => ({}) } },
        says: /option "table" of the DynamoDB/,
      },
    ])
    .run(async ({ assert }, { config, says }) => {
      const { driver } = await stores.dynamodb(config as never).resolver(app)
      assert.throws(() => driver.factory(), says)
    })
})

test.group('AdonisJS | defaults of all locks', () => {
  test('C25: autoExtend of the config is for all locks, unless an acquire differs', async ({
    assert,
    test: current,
  }) => {
    const booted = await bootApp(
      current,
      defineConfig({ default: 'memory', stores: { memory: stores.memory() }, autoExtend: true })
    )
    const manager = await booted.container.make('lock.manager')
    const ways: [isKept: boolean, acquire: (lock: Lock) => Promise<unknown>][] = [
      [true, (lock) => lock.acquire()],
      [true, (lock) => lock.hold({ retry: { attempts: 1 } })],
      [true, (lock) => lock.acquire({ autoExtend: { max: '30m' } })],
      [false, (lock) => lock.acquire({ autoExtend: false })],
    ]
    for (const [number, [isKept, acquire]] of ways.entries()) {
      const lock = manager.createLock(`k${number}`, 10_000)
      await acquire(lock)
      // In memory, what is extended lasts for as long as the event loop may be blocked.
      assert.equal(lock.getRemainingTime()! > 30_000, isKept)
      await lock.release()
    }
  })

  test('fencing of a store is for its locks, unless a lock differs', async ({
    assert,
    test: current,
  }) => {
    const booted = await bootApp(
      current,
      defineConfig({
        default: 'fenced',
        stores: { fenced: stores.memory({ fencing: true }), plain: stores.memory() },
      })
    )
    const manager = await booted.container.make('lock.manager')
    const tokenOf = async (lock: Lock) => {
      await lock.acquire()
      return lock.fencingToken
    }
    const plain = manager.use('plain')
    const tokens = [
      await tokenOf(manager.createLock('a')),
      await tokenOf(manager.createLock('b', '10s', { fencing: false })),
      await tokenOf(plain.createLock('a')),
      await tokenOf(plain.createLock('b', '10s', { fencing: true })),
    ]
    assert.deepEqual(
      tokens.map((token) => typeof token),
      ['bigint', 'object', 'object', 'bigint']
    )
  })
})
