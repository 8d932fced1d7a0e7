/**
 * The ways in which settings are given to a redis store, and that none of them ever shows a password.
 */
import { inspect } from 'node:util'

import { test } from '@japa/runner'
import { Cluster, Redis } from 'ioredis'
import { LockFactory, Verrou } from 'loquet'
import { RedisStore, redisStore } from 'loquet/drivers/redis'
import type { RedisStoreOptions } from 'loquet/types'

import { LAZY, config, instance, settingsOf } from './translations.js'
import { RecordingLogger } from '../unit/recording_logger.js'

/** What ioredis itself reads out of a URL is what counts. */
const URLS = [
  'redis://example.test',
  'redis://example.test:7000',
  'redis://example.test:7000/',
  'redis://example.test/3',
  'redis://:hunter2@example.test',
  'redis://app:hunter2@example.test:7000/3',
  'redis://app@example.test',
  'redis://app:p%40ss%3Aw%2Frd%25@example.test',
  'REDIS://example.test',
  'rediss://example.test',
  'rediss://app:hunter2@example.test:6380/2',
  'redis://[::1]:7000/1',
  'redis://example.test?db=4&family=6&connectionName=locks&keyPrefix=app%3A',
  'redis://example.test/1?db=4',
  'redis://example.test?username=app&password=hunter2',
  'redis://app:hunter2@example.test?password=other',
  'redis://',
  '//app:hunter2@example.test:7000/3',
  'example.test:7000',
  'example.test',
  ':hunter2@example.test:7000',
  '7000',
  '/tmp/redis.sock',
  '/tmp/redis.sock?db=2&password=hunter2',
]

test.group('Redis settings | URLs', () => {
  test('a URL means what it means to ioredis: {$self}')
    .with(URLS)
    .run(({ assert }, url) => {
      const ours = config({}, url)

      assert.equal(ours.kind, 'native')
      assert.deepEqual(ours, instance(new Redis(url, LAZY)))
    })

  test('a URL counts more than the options beside it, TLS excepted, as with ioredis', ({
    assert,
  }) => {
    const url = 'rediss://app:hunter2@example.test:7000/3'
    const options = { host: 'other', db: 9, keyPrefix: 'app:', tls: { servername: 'a.test' } }
    const ours = config(options, url)

    assert.deepEqual(ours, instance(new Redis(url, { ...LAZY, ...options })))
    assert.containSubset(settingsOf(ours), { db: 3, tls: { servername: 'a.test' } })
  })

  test('encryption is told by "rediss" in any spelling', ({ assert }) => {
    assert.isDefined(settingsOf(config({}, 'REDISS://example.test')).tls)
    assert.isUndefined(settingsOf(config({}, 'redis://example.test')).tls)
  })
})

test.group('Redis settings | options of a store', () => {
  const create = (options: unknown) => () => new RedisStore(options as RedisStoreOptions)

  test("C19: what can't be used is named, without its value: {$self}")
    .with(['nothing', 'text', 'no connection', 'a wrong connection', 'a number', 'a URL', 'a port'])
    .run(({ assert }, kind) => {
      const [options, message] = {
        'nothing': [undefined, 'redis store options: expected an object, got undefined'],
        'text': ['redis://:hunter2@host', 'redis store options: expected an object, got string'],
        'no connection': [{ connection: undefined }, '"connection": expected an ioredis instance'],
        'a wrong connection': [{ connection: { password: 'hunter2' } }, '"connection"'],
        'a number': [{ url: 6379 }, '"url": expected a URL'],
        'a URL': [{ url: 'redis://:hunter2@host:port' }, '"url": expected a URL'],
        'a port': [{ port: 70_000, password: 'hunter2' }, '"port"'],
      }[kind] as [unknown, string]

      assert.throws(create(options), new RegExp(message))
      try {
        create(options)()
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'E_INVALID_ARGUMENTS_EXCEPTION')
        assert.notInclude(inspect(error, { depth: null }), 'hunter2')
      }
    })

  test('C19: what only ioredis can do is refused where there is no ioredis', ({ assert }) => {
    assert.throws(
      create({ host: 'a', Connector: class {} }),
      /"Connector" can't be carried over.+redisStore\(\{ connection \}\)/
    )
    assert.throws(create({ host: 'a', hots: 'b' }), /"hots" isn't known/)
    assert.throws(create({ sentinels: [{ host: 'a' }], name: 'main', role: 'slave' }), /replica/)
  })

  test('options that only matter to ioredis are no reason', ({ assert }) => {
    assert.doesNotThrow(create({ host: 'a', lazyConnect: true, retryStrategy: () => null }))
  })

  test("AdonisJS's object around an ioredis instance is looked into", ({ assert }) => {
    const logger = new RecordingLogger()
    const around = { ioConnection: new Redis(LAZY), set() {}, del() {}, eval() {} }
    new LockFactory(new RedisStore({ connection: around as never }), { logger })

    assert.isEmpty(logger.lines)
  })

  test('a factory makes a store each time', ({ assert }) => {
    const { factory } = redisStore({ url: 'redis://localhost' })

    assert.instanceOf(factory(), RedisStore)
    assert.notStrictEqual(factory(), factory())
  })

  test('a store connects to nothing before its first use', ({ assert }) => {
    const redis = new Redis(LAZY)
    new RedisStore({ connection: redis })

    assert.equal(redis.status, 'wait')
  })
})

test.group('Redis settings | secrets', () => {
  test('C21: no password is seen in what is inspected, nor in JSON: {$self}')
    .with(['a URL', 'options', 'an instance', 'a cluster', 'sentinels', 'a double'])
    .run(async ({ assert }, kind) => {
      const secret = { password: 'hunter2', sentinelPassword: 'hunter3' }
      const { default: Mock } = await import('ioredis-mock')
      const options: RedisStoreOptions = {
        'a URL': () => ({ url: 'redis://:hunter2@localhost' }),
        'options': () => ({ ...secret, host: 'a' }),
        'an instance': () => ({ connection: new Redis({ ...LAZY, ...secret }) }),
        'a cluster': () => ({
          connection: new Cluster([{ host: 'a' }], { ...LAZY, redisOptions: secret }),
        }),
        'sentinels': () => ({ ...secret, sentinels: [{ host: 'a' }], name: 'main' }),
        'a double': () => ({ connection: new Mock({ ...LAZY, ...secret }) }),
      }[kind]!() as RedisStoreOptions

      const logger = new RecordingLogger()
      const driver = redisStore(options)
      const verrou = new Verrou({ default: 'redis', stores: { redis: { driver } }, logger })
      const store = new RedisStore(options)
      const lock = verrou.createLock('key')
      for (const value of [store, driver, verrou, verrou.use('redis'), lock, logger.lines]) {
        const seen = inspect(value, { depth: null, showHidden: true, getters: true })
        assert.notMatch(seen, /hunter/)
        assert.notMatch(String(JSON.stringify(value)), /hunter/)
      }
    })
})
