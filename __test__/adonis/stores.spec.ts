import { test } from '@japa/runner'
import { Verrou, stores } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

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

  test('C19: a store of a coming version says so when it is resolved: {store}')
    .with([
      {
        store: 'dynamodb',
        provider: () =>
          stores.dynamodb({ table: { name: 'locks' }, connection: { send: async () => ({}) } }),
      },
    ])
    .run(async ({ assert }, { store, provider }) => {
      const error = await provider()
        .resolver(app)
        .then(
          () => null,
          (reason: { code: string; message: string }) => reason
        )

      assert.equal(error?.code, 'E_LOCK_STORE_UNAVAILABLE')
      assert.equal(
        error?.message,
        `The "${store}" lock store comes in a coming version of loquet. ` +
          'The stores that work in this version are "memory" (stores.memory()), "redis" (stores.redis()), ' +
          '"database" (stores.database()) and custom stores'
      )
    })
})
