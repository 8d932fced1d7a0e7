import { test } from '@japa/runner'
import { defineConfig, errors, stores } from 'loquet'
import type { StoreFactory } from 'loquet/types'
import { MapStore } from './app.js'

/** Calls `defineConfig` the way a config without types can. */
const define = defineConfig as unknown as (config: unknown) => unknown

const mapStore = (): StoreFactory => ({ driver: { factory: () => new MapStore() } })

test.group('AdonisJS | defineConfig', () => {
  test('C19: missing stores are named', ({ assert }) => {
    for (const config of [{ default: 'memory' }, { default: 'memory', stores: null }, {}]) {
      assert.throws(() => define(config), 'Missing "stores" property in lock config')
    }
  })

  test('C19: a missing default is named', ({ assert }) => {
    for (const config of [
      { stores: { memory: stores.memory() } },
      { stores: { memory: stores.memory() }, default: '' },
      { stores: {}, default: undefined },
    ]) {
      assert.throws(() => define(config), 'Missing "default" store in lock config')
    }
  })

  test('C19: a default without its store is named', ({ assert }) => {
    // The last two are properties of every object, but no stores of the config.
    for (const name of ['redis', 'memory2', 'constructor', 'toString']) {
      assert.throws(
        () => define({ default: name, stores: { memory: stores.memory() } }),
        `Missing "stores.${name}" in lock config. It is referenced by the "default" property`
      )
    }
  })

  test('C19: the errors are invalid-arguments exceptions', ({ assert }) => {
    const errorOf = (config: unknown) => {
      try {
        define(config)
      } catch (error) {
        return error as { code: string; status: number }
      }
      throw new Error('defineConfig did not throw')
    }

    for (const config of [
      {},
      { stores: {} },
      { stores: {}, default: 'memory' },
      { stores: { memory: {} }, default: 'memory' },
    ]) {
      const error = errorOf(config)
      assert.instanceOf(error, errors.InvalidArgumentsException)
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
    }
  })

  test('C19: a store that is neither factory nor provider is named, with what is missing', ({
    assert,
  }) => {
    const memory = stores.memory()
    const cases: [unknown, string][] = [
      [undefined, 'expected a store factory or a config provider, got undefined'],
      [null, 'expected a store factory or a config provider, got null'],
      ['redis', 'expected a store factory or a config provider, got string'],
      [{}, 'it has neither a "driver" with a "factory" function nor a "resolver" function'],
      [
        { driver: { factory: 1 } },
        'it has neither a "driver" with a "factory" function nor a "resolver" function',
      ],
      [
        { factory: () => new MapStore() },
        'a store factory has the form { driver: { factory } }, the "driver" around "factory" is missing',
      ],
    ]

    for (const [store, flaw] of cases) {
      assert.throws(
        () => define({ default: 'memory', stores: { memory, other: store } }),
        `Invalid "stores.other" in lock config: ${flaw}`
      )
    }
  })

  test('C19: events is a boolean', ({ assert }) => {
    const memory = stores.memory()
    assert.throws(
      () => define({ default: 'memory', stores: { memory }, events: 'yes' }),
      'Invalid "events" in lock config: expected true or false, got \'yes\''
    )
  })

  test('C19: a valid config is returned as it is, with its retry defaults', ({ assert }) => {
    const config = {
      default: 'memory' as const,
      stores: {
        memory: stores.memory(),
        redis: stores.redis({ connectionName: 'main' }),
        database: stores.database({ connectionName: 'postgres', tableName: 'my_locks' }),
        map: mapStore(),
      },
      retry: { attempts: 3, delay: '10ms' },
    }

    assert.strictEqual(defineConfig(config), config)
  })
})
