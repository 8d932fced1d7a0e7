import { test } from '@japa/runner'
import { InvalidArgumentsException } from '@poppinss/exception'
import { LockFactory, Verrou } from 'loquet'
import { MemoryStore, memoryStore } from 'loquet/drivers/memory'

import { errorOf, millisOf } from './observe.js'
import { AsyncStore, SyncStore } from './stores_under_test.js'

/** Any value where a certain type is wanted. */
const any = (value: unknown) => value as never

const memory = () => ({ driver: memoryStore() })

test.group('verrou', () => {
  test('C19: a config without stores, without default, or with a default that has no store', async ({
    assert,
  }) => {
    const stores = { memory: memory() }
    const cases: [config: unknown, message: string][] = [
      [{ default: 'memory' }, 'Missing "stores" property in lock config'],
      [{ default: 'memory', stores: null }, 'Missing "stores" property in lock config'],
      [undefined, 'Missing "stores" property in lock config'],
      [{ stores }, 'Missing "default" store in lock config'],
      [{ stores, default: '' }, 'Missing "default" store in lock config'],
      [
        { stores, default: 'redis' },
        'Missing "stores.redis" in lock config. It is referenced by the "default" property',
      ],
      [
        { stores: { redis: undefined }, default: 'redis' },
        'Missing "stores.redis" in lock config. It is referenced by the "default" property',
      ],
    ]
    for (const [config, message] of cases) {
      const error = await errorOf(() => new Verrou(any(config)))
      assert.instanceOf(error, InvalidArgumentsException)
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      assert.equal(error.message, message)
    }
  })

  test('C19: what every object has is no store', async ({ assert }) => {
    for (const name of ['constructor', 'toString', '__proto__']) {
      const stores = { memory: memory() }
      const error = await errorOf(() => new Verrou({ default: any(name), stores }))
      assert.include(error.message, `Missing "stores.${name}" in lock config`)
      const verrou = new Verrou({ default: 'memory', stores })
      const unknown = await errorOf(() => verrou.use(any(name)))
      assert.instanceOf(unknown, InvalidArgumentsException)
      assert.include(unknown.message, name)
    }
  })

  test('C19: use of an unknown store lists the known names', async ({ assert }) => {
    const verrou = new Verrou({
      default: 'memory',
      stores: { memory: memory(), other: memory(), third: memory() },
    })
    for (const name of ['unknown', '', 'MEMORY']) {
      const error = await errorOf(() => verrou.use(any(name)))
      assert.instanceOf(error, InvalidArgumentsException)
      assert.include(error.message, `"${name}"`)
      for (const known of ['memory', 'other', 'third']) assert.include(error.message, known)
    }
  })

  test('C19: what is no store factory', async ({ assert }) => {
    const values = [5, 'memory', {}, { driver: {} }, { driver: { factory: 5 } }, memoryStore()]
    for (const value of values) {
      const stores = { memory: memory(), broken: any(value) }
      const error = await errorOf(() => new Verrou({ default: 'memory', stores }).use('broken'))
      assert.instanceOf(error, InvalidArgumentsException)
      assert.include(error.message, 'broken')
      assert.include(error.message, 'factory')
    }
  })

  test('C19: a factory that makes something that is not a store: what is missing is named', async ({
    assert,
  }) => {
    const methods = ['save', 'delete', 'forceDelete', 'exists', 'extend'] as const
    const use = (store: unknown) => {
      const stores = { custom: { driver: { factory: () => any(store) } } }
      return errorOf(() => new Verrou({ default: 'custom', stores }).createLock('k'))
    }
    for (const missing of methods) {
      for (const value of [undefined, 'text']) {
        const store: any = new SyncStore()
        store[missing] = value
        const error = await use(store)
        assert.instanceOf(error, InvalidArgumentsException)
        assert.include(error.message, 'custom')
        assert.match(error.message, new RegExp(`missing: ${missing}$`))
      }
    }
    const error = await use({ save() {}, exists() {} })
    assert.match(error.message, /missing: delete, forceDelete, extend$/)
    for (const value of [undefined, null, 5, 'store', Promise.resolve(new SyncStore()), () => {}]) {
      const refusal = await use(value)
      assert.instanceOf(refusal, InvalidArgumentsException)
      assert.include(refusal.message, 'custom')
      for (const method of methods) assert.include(refusal.message, method)
    }
  })

  test('C19: the same goes for new LockFactory', async ({ assert }) => {
    for (const value of [undefined, null, 5, {}, { save() {} }]) {
      const error = await errorOf(() => new LockFactory(any(value)))
      assert.instanceOf(error, InvalidArgumentsException)
      assert.include(error.message, 'forceDelete')
    }
  })

  test('a store is made on first use, once, and its factory of locks is kept', async ({
    assert,
  }) => {
    let made = 0
    const factory = () => {
      made++
      return new MemoryStore()
    }
    const verrou = new Verrou({
      default: 'one',
      stores: { one: { driver: { factory } }, two: { driver: { factory } } },
    })
    assert.equal(made, 0)
    const one = verrou.use('one')
    assert.instanceOf(one, LockFactory)
    assert.strictEqual(verrou.use('one'), one)
    assert.strictEqual(verrou.use(), one)
    verrou.createLock('k')
    verrou.restoreLock(verrou.createLock('k').serialize())
    assert.equal(made, 1)
    assert.notStrictEqual(verrou.use('two'), one)
    assert.equal(made, 2)
  })

  test('a store whose factory failed is made again at the next use', async ({ assert }) => {
    const reason = new Error('not yet')
    let calls = 0
    const factory = () => {
      if (++calls === 1) throw reason
      return new MemoryStore()
    }
    const verrou = new Verrou({ default: 'one', stores: { one: { driver: { factory } } } })
    assert.strictEqual(await errorOf(() => verrou.use()), reason)
    assert.instanceOf(verrou.use(), LockFactory)
  })

  test('stores are apart from each other, createLock uses the default one', async ({ assert }) => {
    const verrou = new Verrou({ default: 'one', stores: { one: memory(), two: memory() } })
    await verrou.createLock('k').acquire()
    assert.isTrue(await verrou.use('one').createLock('k').isLocked())
    assert.isFalse(await verrou.use('two').createLock('k').isLocked())
    assert.isTrue(await verrou.use('two').createLock('k').acquireImmediately())
  })

  test('createLock takes a TTL, 30 seconds unless given', async ({ assert }) => {
    const verrou = new Verrou({ default: 'memory', stores: { memory: memory() } })
    assert.equal(verrou.createLock('k').serialize().ttl, 30_000)
    assert.equal(verrou.createLock('k', '10s').serialize().ttl, 10_000)
    assert.equal(verrou.createLock('k', 5).serialize().ttl, 5)
    assert.isNull(verrou.createLock('k', null).serialize().ttl)
  })

  test('restoreLock restores a lock of the default store', async ({ assert }) => {
    const verrou = new Verrou({ default: 'memory', stores: { memory: memory() } })
    const lock = verrou.createLock('k')
    await lock.acquire()
    await verrou.restoreLock(lock.serialize()).release()
    assert.isFalse(await lock.isLocked())
  })

  test('C7: retry defaults of the config are those of all its locks', async ({ assert }) => {
    const store = new SyncStore()
    const verrou = new Verrou({
      default: 'memory',
      stores: { memory: memory(), custom: { driver: { factory: () => store } } },
      retry: { attempts: 3, delay: '20ms' },
    })
    await verrou.createLock('k').acquire()
    const millis = await millisOf(() => verrou.createLock('k').acquire())
    assert.isAtLeast(millis, 39)
    assert.isBelow(millis, 2000)

    const custom = verrou.use('custom')
    await custom.createLock('k').acquire()
    await custom.createLock('k').acquire()
    assert.lengthOf(store.saves, 1 + 3)
    await custom.createLock('k').run(() => {}, { retry: { attempts: 2 } })
    assert.lengthOf(store.saves, 1 + 3 + 2)

    const timed = new Verrou({
      default: 'memory',
      stores: { memory: memory() },
      retry: { timeout: 50 },
    })
    await timed.createLock('k').acquire()
    assert.isAbove(await millisOf(() => timed.createLock('k').acquire()), 50)
  })

  test('stores of any kind stand side by side', async ({ assert }) => {
    const verrou = new Verrou({
      default: 'memory',
      stores: {
        memory: memory(),
        sync: { driver: { factory: () => new SyncStore() } },
        async: { driver: { factory: () => new AsyncStore() } },
      },
    })
    for (const name of ['memory', 'sync', 'async'] as const) {
      const lock = verrou.use(name).createLock('k')
      assert.deepEqual(await lock.run(() => name), [true, name])
    }
  })
})
