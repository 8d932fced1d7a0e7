import { inspect } from 'node:util'

import { test } from '@japa/runner'
import { InvalidArgumentsException } from '@poppinss/exception'
import { errors, Lock, LockFactory, Verrou } from 'loquet'
import { MemoryStore, memoryStore } from 'loquet/drivers/memory'
import type { Assert } from '@japa/assert'
import type { ResolvedLockConfig, RetryConfig, SerializedLock } from 'loquet/types'

import { errorOf, rejectionOf } from './observe.js'
import { RecordingLogger } from './recording_logger.js'
import { forEachStore, SyncStore } from './stores_under_test.js'

/** Any value where a certain type is wanted. */
const any = (value: unknown) => value as never

/** How a value is shown in an error. Long ones are cut. */
const shown = (value: unknown) =>
  typeof value === 'string' && value.length > 60 ? value.slice(0, 60) : inspect(value, { depth: 0 })

async function assertNames(
  assert: Assert,
  call: () => unknown,
  parameter: string,
  value: unknown
): Promise<void> {
  const error = await errorOf(call)
  assert.instanceOf(error, InvalidArgumentsException, String(error?.stack))
  assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
  assert.include(error.message, parameter)
  if (typeof value === 'object' && value !== null) return
  assert.include(error.message, shown(value))
}

const BAD_KEYS = [
  '',
  undefined,
  null,
  0,
  42,
  true,
  Symbol('key'),
  {},
  ['k'],
  () => 'k',
  Buffer.from('k'),
]

/** Those that are no duration anywhere. */
const NO_DURATIONS = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -1,
  -0.5,
  '',
  ' ',
  'soon',
  '10 parsecs',
  '-5s',
  '-1',
  'NaN',
  'Infinity',
  '10s 20s',
  '1e3',
  '9'.repeat(400),
  true,
  {},
  [],
  [10],
  10n,
  new Date(0),
]

/** Those that are none where something has to last. */
const BAD_DURATIONS = [...NO_DURATIONS, 0, -0, '0', '0s']

const BAD_ATTEMPTS = [
  0,
  -0,
  -1,
  1.5,
  Number.NaN,
  Number.NEGATIVE_INFINITY,
  '3',
  '',
  null,
  true,
  {},
  [],
  2n,
]

forEachStore('bad input', ({ createStore }) => {
  test('C18: a key that is not a non-empty string', async ({ assert }) => {
    const factory = new LockFactory(createStore())
    for (const key of BAD_KEYS) {
      await assertNames(assert, () => factory.createLock(any(key)), 'key', key)
    }
  })

  test('C18: a TTL that is not a duration', async ({ assert }) => {
    const factory = new LockFactory(createStore())
    for (const ttl of BAD_DURATIONS) {
      await assertNames(assert, () => factory.createLock('k', any(ttl)), 'TTL', ttl)
    }
  })

  test('C18: extend with something that is not a duration', async ({ assert }) => {
    const lock = new LockFactory(createStore()).createLock('k', 60_000)
    await lock.acquire()
    for (const ttl of BAD_DURATIONS) {
      await assertNames(assert, () => lock.extend(any(ttl)), 'TTL', ttl)
    }
    assert.isAbove(lock.getRemainingTime()!, 1000)
    assert.isTrue(await lock.isLocked())
  })

  test('C18: retry settings of acquire and run', async ({ assert }) => {
    const lock = new LockFactory(createStore()).createLock('k')
    const check = async (retry: RetryConfig, parameter: string, value: unknown) => {
      await assertNames(assert, () => lock.acquire({ retry }), parameter, value)
      await assertNames(assert, () => lock.run(() => assert.fail(), { retry }), parameter, value)
    }
    for (const attempts of BAD_ATTEMPTS)
      await check({ attempts: any(attempts) }, 'attempts', attempts)
    for (const delay of NO_DURATIONS) await check({ delay: any(delay) }, 'delay', delay)
    for (const timeout of BAD_DURATIONS) await check({ timeout: any(timeout) }, 'timeout', timeout)
    for (const retry of [null, 5, 'often', true]) await check(any(retry), 'retry', retry)
    assert.isFalse(await lock.isLocked(), 'nothing was done')
  })

  test('C18: options of acquire and run that are none', async ({ assert }) => {
    const lock = new LockFactory(createStore()).createLock('k')
    for (const options of [null, 5, 'now', true]) {
      await assertNames(assert, () => lock.acquire(any(options)), 'options', options)
      await assertNames(assert, () => lock.run(() => {}, any(options)), 'options', options)
    }
    for (const signal of [null, 5, 'stop', true, {}]) {
      await assertNames(assert, () => lock.acquire({ signal: any(signal) }), 'signal', signal)
      await assertNames(assert, () => lock.run(() => {}, { signal: any(signal) }), 'signal', signal)
    }
    for (const callback of [undefined, null, 5, 'text', {}]) {
      await assertNames(assert, () => lock.run(any(callback)), 'callback', callback)
      await assertNames(assert, () => lock.runImmediately(any(callback)), 'callback', callback)
    }
    assert.isFalse(await lock.isLocked(), 'nothing was done')
  })

  test('C18: a serialized lock with missing or ill-typed fields', async ({ assert }) => {
    const factory = new LockFactory(createStore())
    const valid: SerializedLock = { key: 'k', owner: 'one', ttl: 1000, expirationTime: null }
    assert.instanceOf(factory.restoreLock(valid), Lock)

    for (const field of ['key', 'owner', 'ttl', 'expirationTime'] as const) {
      const incomplete: Partial<SerializedLock> = { ...valid }
      delete incomplete[field]
      await assertNames(assert, () => factory.restoreLock(any(incomplete)), field, undefined)
    }
    const illTyped: Record<keyof SerializedLock, unknown[]> = {
      key: BAD_KEYS,
      owner: BAD_KEYS,
      ttl: ['10s', '', 0, -1, Number.NaN, Number.POSITIVE_INFINITY, true, {}, undefined, 10n],
      expirationTime: ['tomorrow', Number.NaN, Number.POSITIVE_INFINITY, true, {}, new Date(), 10n],
    }
    for (const [field, values] of Object.entries(illTyped)) {
      for (const value of values) {
        const lock = any({ ...valid, [field]: value })
        await assertNames(assert, () => factory.restoreLock(lock), field, value)
      }
    }
    for (const lock of [undefined, null, 5, 'text', JSON.stringify(valid), () => valid]) {
      await assertNames(assert, () => factory.restoreLock(any(lock)), 'serialized lock', lock)
    }
  })

  test('C18: errors of asynchronous methods come as rejections', async ({ assert }) => {
    const lock = new LockFactory(createStore()).createLock('k')
    const calls = [
      () => lock.acquire({ retry: { attempts: 0 } }),
      () => lock.run(() => {}, { retry: { attempts: 0 } }),
      () => lock.run(any(null)),
      () => lock.runImmediately(any(null)),
      () => lock.extend(-1),
    ]
    for (const call of calls) {
      const returned = call()
      assert.instanceOf(returned, Promise)
      assert.instanceOf(await rejectionOf(returned), InvalidArgumentsException)
    }
  })

  test('C18: fractions of a millisecond round up', async ({ assert }) => {
    const factory = new LockFactory(createStore())
    assert.equal(factory.createLock('k', 1000.001).serialize().ttl, 1001)
    assert.equal(factory.createLock('k', 0.1).serialize().ttl, 1)
    assert.equal(factory.createLock('k', '1.5ms').serialize().ttl, 2)
    assert.equal(factory.createLock('k', '0.5s').serialize().ttl, 500)
    const lock = factory.createLock('k', 60_000)
    await lock.acquire()
    await lock.extend(0.2)
    assert.isAtMost(lock.getRemainingTime()!, 1)
    assert.isTrue(await factory.createLock('k').acquire({ retry: { delay: 0.5, timeout: 9000.5 } }))
  })

  test('C18: durations in words', async ({ assert }) => {
    const factory = new LockFactory(createStore())
    const durations = {
      '10s': 10_000,
      '1m': 60_000,
      '2 hours': 7_200_000,
      '1d': 86_400_000,
      '75': 75,
    }
    for (const [text, millis] of Object.entries(durations)) {
      assert.equal(factory.createLock('k', text).serialize().ttl, millis)
    }
    assert.equal(factory.createLock('k').serialize().ttl, 30_000)
    assert.isNull(factory.createLock('k', null).serialize().ttl)
  })

  test('C18: a very long duration is none the worse for it', async ({ assert }) => {
    const factory = new LockFactory(createStore())
    for (const ttl of ['1000 years', Number.MAX_SAFE_INTEGER]) {
      const lock = factory.createLock('k', ttl)
      assert.isTrue(await lock.acquire({ retry: { timeout: ttl, delay: ttl } }))
      assert.isFalse(lock.isExpired())
      assert.isFalse(await factory.createLock('k').acquire({ retry: { delay: ttl, timeout: 10 } }))
      await lock.extend(ttl)
      await factory.restoreLock(lock.serialize()).release()
    }
  })
})

test.group('bad input | nothing is sent', () => {
  test('C18: no method of a custom store is called', async ({ assert }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store)
    const lock = factory.createLock('k')
    const calls = [
      ...BAD_KEYS.map((key) => () => factory.createLock(any(key)).acquire()),
      ...BAD_DURATIONS.map((ttl) => () => factory.createLock('k', any(ttl)).acquire()),
      ...BAD_DURATIONS.map((ttl) => () => lock.extend(any(ttl))),
      ...BAD_ATTEMPTS.map((attempts) => () => lock.acquire({ retry: { attempts: any(attempts) } })),
      ...NO_DURATIONS.map((delay) => () => lock.acquire({ retry: { delay: any(delay) } })),
      ...BAD_DURATIONS.map(
        (timeout) => () => lock.run(() => {}, { retry: { timeout: any(timeout) } })
      ),
      () => lock.acquire({ signal: any({}) }),
      () => lock.acquire(any(null)),
      () => lock.run(any('text')),
      () => lock.runImmediately(any(undefined)),
      () => factory.createLock('k', null).extend(),
    ]
    for (const call of calls) assert.instanceOf(await errorOf(call), InvalidArgumentsException)
    assert.equal(store.calls, 0)
  })

  test('C18: a TTL reaches a custom store as whole milliseconds, exactly', async ({ assert }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store)
    const ttls = [
      ...Array.from({ length: 3000 }, (_, index) => index + 1),
      86_399_999,
      1_234_567_891,
    ]
    for (const ttl of ttls) await factory.createLock(`key ${ttl}`, ttl).acquireImmediately()
    const changed = store.saves.filter((save, index) => save.ttl !== ttls[index])
    assert.deepEqual(
      changed.map((save) => save.ttl),
      []
    )
    await factory.createLock('fraction', 10.2).acquire()
    assert.equal(store.saves.at(-1)!.ttl, 11)
    await factory.createLock('endless', null).acquire()
    assert.isNull(store.saves.at(-1)!.ttl)
  })
})

test.group('bad input | constructors', () => {
  const config: ResolvedLockConfig = {
    retry: { attempts: Number.POSITIVE_INFINITY, delay: 250 },
    logger: new RecordingLogger(),
  }

  test('C18: new Lock', async ({ assert }) => {
    for (const store of [new MemoryStore(), new SyncStore()]) {
      for (const key of BAD_KEYS) {
        await assertNames(assert, () => new Lock(any(key), store, config), 'key', key)
      }
      for (const ttl of BAD_DURATIONS) {
        await assertNames(assert, () => new Lock('k', store, config, 'one', any(ttl)), 'TTL', ttl)
      }
      for (const owner of ['', null, 5, {}]) {
        await assertNames(assert, () => new Lock('k', store, config, any(owner)), 'owner', owner)
      }
      const lock = new Lock('k', store, config)
      assert.isTrue(await lock.acquire())
      assert.isNull(lock.getRemainingTime())
      await lock.release()
    }
    for (const store of [undefined, null, 5, {}, { save() {} }]) {
      await assertNames(assert, () => new Lock('k', any(store), config), 'store', store)
    }
  })

  test('C18: new LockFactory', async ({ assert }) => {
    const store = new MemoryStore()
    const check = (retry: unknown, parameter: string, value: unknown) =>
      assertNames(assert, () => new LockFactory(store, { retry: any(retry) }), parameter, value)
    for (const attempts of BAD_ATTEMPTS) await check({ attempts }, 'attempts', attempts)
    for (const delay of NO_DURATIONS) await check({ delay }, 'delay', delay)
    for (const timeout of BAD_DURATIONS) await check({ timeout }, 'timeout', timeout)
    for (const retry of [null, 5, 'often']) await check(retry, 'retry', retry)
  })

  test('C18: new Verrou', async ({ assert }) => {
    const check = (retry: unknown, parameter: string, value: unknown) => {
      const stores = { memory: { driver: memoryStore() } }
      const make = () => new Verrou({ default: 'memory', stores, retry: any(retry) })
      return assertNames(assert, make, parameter, value)
    }
    for (const attempts of BAD_ATTEMPTS) await check({ attempts }, 'attempts', attempts)
    for (const delay of NO_DURATIONS) await check({ delay }, 'delay', delay)
    for (const timeout of BAD_DURATIONS) await check({ timeout }, 'timeout', timeout)
  })

  test('C18: a delay of zero is one in any form', async ({ assert }) => {
    for (const delay of [0, '0', '0ms', '0s']) {
      const lock = new LockFactory(new MemoryStore(), { retry: { delay } }).createLock('k')
      assert.isTrue(await lock.acquire({ retry: { delay } }))
    }
  })

  test('C18: attempts may be Infinity', async ({ assert }) => {
    const attempts = Number.POSITIVE_INFINITY
    const lock = new LockFactory(new MemoryStore(), { retry: { attempts } }).createLock('k')
    assert.isTrue(await lock.acquire({ retry: { attempts } }))
  })
})

test.group('bad input | methods of the memory store', () => {
  test('C18: key, owner, TTL and duration', async ({ assert }) => {
    const store = new MemoryStore()
    for (const key of BAD_KEYS) {
      await assertNames(assert, () => store.save(any(key), 'one', 1000), 'key', key)
      await assertNames(assert, () => store.delete(any(key), 'one'), 'key', key)
      await assertNames(assert, () => store.forceDelete(any(key)), 'key', key)
      await assertNames(assert, () => store.exists(any(key)), 'key', key)
      await assertNames(assert, () => store.extend(any(key), 'one', 1000), 'key', key)
      await assertNames(assert, () => store.save('k', any(key), 1000), 'owner', key)
      await assertNames(assert, () => store.delete('k', any(key)), 'owner', key)
      await assertNames(assert, () => store.extend('k', any(key), 1000), 'owner', key)
    }
    assert.isTrue(await store.save('held', 'one', 60_000))
    for (const ttl of BAD_DURATIONS) {
      await assertNames(assert, () => store.save('k', 'one', any(ttl)), 'TTL', ttl)
      await assertNames(assert, () => store.extend('held', 'one', any(ttl)), 'duration', ttl)
    }
    assert.deepEqual(store.census(), { leases: 1, waiters: 0 })
  })

  test('C18: the name of a shared space', async ({ assert }) => {
    for (const shared of ['', null, 5, true, {}]) {
      const options = { shared: any(shared) }
      await assertNames(assert, () => new MemoryStore(options), 'shared', shared)
      await assertNames(assert, () => memoryStore(options).factory(), 'shared', shared)
    }
  })

  test('C18: the error class is the one that the package exports', async ({ assert }) => {
    const error = await errorOf(() => new LockFactory(new MemoryStore()).createLock(''))
    assert.instanceOf(error, errors.InvalidArgumentsException)
    assert.instanceOf(error, Error)
  })
})
