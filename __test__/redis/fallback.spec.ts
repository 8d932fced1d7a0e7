/**
 * Connections that can't be made natively: the store then runs on the app's own ioredis connection, and says so.
 */
import { inspect } from 'node:util'

import { test } from '@japa/runner'
import * as peer from '@verrou/core'
import { RedisStore as PeerStore } from '@verrou/core/drivers/redis'
import { registerStoreTestSuite as registerPeerSuite } from '@verrou/core/test_suite'
import { Cluster, Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { E_LOCK_STORAGE_ERROR, Lock, LockFactory, Verrou } from 'loquet'
import { RedisStore, redisStore } from 'loquet/drivers/redis'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { RedisOptions } from 'ioredis'
import type { RedisConnection } from 'loquet/types'
import type { Group, TestContext } from '@japa/runner/core'

import { FaultProxy } from '../faults/proxy.js'
import { runCollected } from '../stores/collected_suite.js'
import { insist } from '../contract/outage.js'
import { assertNotOwned, errorOf, isPending, rejectionOf, until } from '../unit/observe.js'
import { RecordingLogger } from '../unit/recording_logger.js'
import { startCluster, startStandalone, startTls } from './servers.js'
import type { RedisServer } from './servers.js'

type Current = TestContext['test']

/** A connection with an option that only ioredis understands: it is used as it is. */
function connect(
  current: Current,
  server: { host: string; port: number },
  options: RedisOptions & Record<string, unknown> = {}
): Redis {
  const redis = new Redis({
    host: server.host,
    port: server.port,
    shoeSize: 43,
    ...options,
  } as RedisOptions)
  redis.on('error', () => {})
  current.cleanup(() => redis.disconnect())
  return redis
}

/** A private server for the tests of a group. */
function useServer(group: Group): { server: RedisServer } {
  const used = {} as { server: RedisServer }
  group.setup(async () => {
    used.server = await startStandalone()
    return () => used.server.stop()
  })
  return used
}

const factoryOn = (connection: RedisConnection) => new LockFactory(new RedisStore({ connection }))

const warningsOf = ({ lines }: RecordingLogger) =>
  lines.filter(({ level }) => level === 'warn').map(({ message }) => message)

test.group('Redis on the own connection | suites', (group) => {
  const used = useServer(group)

  const SUITES = {
    'a double': async () => (keyPrefix?: string) =>
      new RedisMock({ keyPrefix }) as unknown as RedisConnection,
    'an unknown option': async (current: Current) => (keyPrefix?: string) =>
      connect(current, used.server, { keyPrefix }),
    'a server without EVALSHA': async (current: Current) => (keyPrefix?: string) =>
      Object.assign(connect(current, used.server, { keyPrefix }), {
        evalsha: () => Promise.reject(new Error("ERR unknown command 'evalsha'")),
      }),
    'a client without EVALSHA': async (current: Current) => (keyPrefix?: string) =>
      Object.assign(connect(current, used.server, { keyPrefix }), { evalsha: undefined }),
    'a cluster': async (current: Current) => {
      const servers = await startCluster()
      current.cleanup(() => servers.stop())
      const nodes = servers.nodes.map(({ host, port }) => ({ host, port }))
      return (keyPrefix?: string) => {
        // It reads from replicas where it can: locks must not.
        const cluster = new Cluster(nodes, {
          scaleReads: 'slave',
          keyPrefix,
          shoeSize: 43,
        } as object)
        current.cleanup(() => cluster.disconnect())
        return cluster
      }
    },
  }

  test('the public suite and that of the peer pass for {$self}')
    .with(Object.keys(SUITES) as (keyof typeof SUITES)[])
    .run(async ({ assert, test: current }, kind) => {
      const create = await SUITES[kind](current)
      const connection = create()
      const ours = await runCollected(assert, (collect) =>
        registerStoreTestSuite({
          test: collect,
          createStore: () => new RedisStore({ connection }),
        })
      )
      assert.deepEqual(ours.failures, {})
      assert.isAtLeast(ours.count, 15)

      // Its tests have the same keys, and some sleep for exactly as long as a lease lasts.
      let stores = 0
      const createStore = () => new RedisStore({ connection: create(`${kind} ${stores++}:`) })
      const peers = await runCollected(
        assert,
        (collect) => registerPeerSuite({ test: collect, createStore } as never),
        { times: 3 }
      )
      assert.deepEqual(peers.failures, {})
      assert.isAtLeast(peers.count, 25)
    })
})

test.group('Redis on the own connection | locks', (group) => {
  const used = useServer(group)

  test('the bytes are those of the peer, and either sees the locks of the other', async ({
    assert,
    test: current,
  }) => {
    const { server } = used
    const redis = connect(current, server, { keyPrefix: 'app:' })
    const lock = factoryOn(redis).createLock('bytes', 60_000)
    const peers = new peer.LockFactory(new PeerStore({ connection: redis })).createLock('bytes')
    await lock.acquire()

    assert.equal(await server.cli('GET', 'app:bytes'), lock.getOwner())
    assert.closeTo(Number(await server.cli('PTTL', 'app:bytes')), 60_000, 5000)
    assert.isTrue(await peers.isLocked())
    assert.isFalse(await peers.acquireImmediately())
    await lock.extend(90_000)
    assert.closeTo(Number(await server.cli('PTTL', 'app:bytes')), 90_000, 5000)
    await lock.release()
    assert.equal(await server.cli('EXISTS', 'app:bytes'), '0')

    assert.isTrue(await peers.acquireImmediately())
    assert.isFalse(await lock.acquireImmediately())
    await assertNotOwned(assert, () => lock.release())
    await lock.forceRelease()
    await factoryOn(redis).createLock('bytes', null).acquire()
    assert.equal(await server.cli('PTTL', 'app:bytes'), '-1')
  })

  test('C8: waiters get their turn in order, those of another process at their next try', async ({
    assert,
    test: current,
  }) => {
    const { server } = used
    const factory = factoryOn(connect(current, server))
    const other = factoryOn(connect(current, server))
    const lock = factory.createLock('turn')
    await lock.acquire()
    const order: number[] = []
    const waits = [1, 2, 3].map((turn) =>
      factory.createLock('turn').run(async () => void order.push(turn))
    )
    const late = other.createLock('turn').run(() => {}, { retry: { delay: 5 } })
    assert.isTrue(await isPending(Promise.any([...waits, late])))
    await lock.release()
    await Promise.all([...waits, late])

    assert.deepEqual(order, [1, 2, 3])
  })

  test('scripts are sent again after the server has forgotten them', async ({
    assert,
    test: current,
  }) => {
    const { server } = used
    const lock = factoryOn(connect(current, server)).createLock('forgotten')
    for (let round = 0; round < 2; round++) {
      await server.cli('SCRIPT', 'FLUSH')
      await lock.acquire()
      await lock.extend('1m')
      assert.isTrue(await lock.isLocked())
      await lock.release()
    }
  })

  test('a certificate that a function of the app decides about', async ({
    assert,
    test: current,
  }) => {
    const server = await startTls()
    current.cleanup(() => server.stop())
    let asked = 0
    const checkServerIdentity = () => void asked++
    const logger = new RecordingLogger()
    const redis = connect(current, server, { tls: { ca: server.ca, checkServerIdentity } })
    Object.assign(redis.options, { shoeSize: undefined })
    const factory = new LockFactory(new RedisStore({ connection: redis }), { logger })

    assert.deepEqual(await factory.createLock('key').run(() => 'ran'), [true, 'ran'])
    assert.equal(asked, 1)
    assert.lengthOf(warningsOf(logger), 1)
    assert.include(warningsOf(logger)[0], '"tls.checkServerIdentity" can\'t be carried over')
  })
})

test.group('Redis on the own connection | what is said', () => {
  const connection = () => new RedisMock() as unknown as RedisConnection

  test('one line in the log of who uses the store, however often it is used', async ({
    assert,
  }) => {
    const logger = new RecordingLogger()
    const { factory } = redisStore({ connection: connection() })
    const store = factory()
    const verrou = new Verrou({
      default: 'redis',
      stores: { redis: { driver: { factory: () => store } } },
      logger,
    })
    assert.isEmpty(warningsOf(logger))

    await verrou.createLock('key').run(() => {})
    await verrou
      .use('redis')
      .createLock('key')
      .run(() => {})
    await new LockFactory(store, { logger }).createLock('key').run(() => {})
    await store.save('key', 'me', 60_000)
    await store.forceDelete('key')

    assert.deepEqual(warningsOf(logger), [
      "The redis lock store runs on the app's own ioredis connection, since the connection is no ioredis instance",
    ])
    assert.deepEqual(logger.lines.find(({ level }) => level === 'warn')?.context, { pkg: 'loquet' })
  })

  test('without a logger a process warning, once: {$self}')
    .with(['a factory', 'a lock', "the peer's factory", 'a store'])
    .run(async ({ assert, test: current }, kind) => {
      const warnings: (Error & { code?: string })[] = []
      const listen = (warning: Error) => void warnings.push(warning)
      process.on('warning', listen)
      current.cleanup(() => void process.off('warning', listen))
      // The reason differs from those of the other tests, for the same one is only told once in a process.
      const redis = new Redis({ lazyConnect: true, [`option of ${kind}`]: 1 } as object)
      const stores = [1, 2].map(() => new RedisStore({ connection: redis }))
      await Promise.resolve()
      assert.isEmpty(warnings)

      for (const store of stores) {
        if (kind === 'a factory') new LockFactory(store)
        else if (kind === 'a lock') {
          const logger = new RecordingLogger()
          new Lock('key', store, { retry: { attempts: 1, delay: 1 }, logger })
        } else if (kind === 'a store') redis.status = 'end'
        else redis.status = 'end'
        if (kind === 'a store') await store.exists('key').catch(() => {})
        if (kind === "the peer's factory") {
          await new peer.LockFactory(store)
            .createLock('key')
            .isLocked()
            .catch(() => {})
        }
      }
      await until(() => warnings.length > 0)
      await new Promise(setImmediate)

      assert.lengthOf(warnings, 1)
      assert.equal(warnings[0].code, 'LOQUET_REDIS_CONNECTION')
      assert.include(warnings[0].message, `"option of ${kind}" isn't known`)
    })

  test('a logger that fails keeps nobody from locking', async ({ assert }) => {
    const logger = new RecordingLogger()
    logger.child = () => logger
    logger.warn = () => {
      throw new Error('the disk is full')
    }
    const factory = new LockFactory(new RedisStore({ connection: connection() }), { logger })

    assert.deepEqual(await factory.createLock('key').run(() => 'ran'), [true, 'ran'])
  })

  test('a method that a subclass overrides is called', async ({ assert }) => {
    const saved: string[] = []
    class Counting extends RedisStore {
      override async save(key: string, owner: string, ttl: number | null) {
        saved.push(key)
        return super.save(key, owner, ttl)
      }
    }
    await new LockFactory(new Counting({ connection: connection() }))
      .createLock('key')
      .run(() => {})

    assert.deepEqual(saved, ['key'])
  })

  test('C18: bad input is named before anything is sent', async ({ assert }) => {
    const store = new RedisStore({ connection: connection() })
    for (const call of [
      () => store.save('', 'me', 1),
      () => store.save('key', '', 1),
      () => store.save('key', 'me', 0),
      () => store.save('key', 'me', Number.NaN),
      () => store.delete('key', undefined as never),
      () => store.extend('key', 'me', null as never),
      () => store.exists(7 as never),
      () => store.forceDelete(null as never),
    ]) {
      const { code } = await errorOf(call)
      assert.equal(code, 'E_INVALID_ARGUMENTS_EXCEPTION')
    }
    assert.isTrue(await store.save('key', 'me', 0.5))
  })
})

test.group('Redis on the own connection | faults', (group) => {
  const used = useServer(group)
  const about = (key: string) => (request: Buffer) => request.includes(key)

  test('C6: an acquire whose reply was lost finds out that it holds the lock', async ({
    assert,
    test: current,
  }) => {
    const proxy = await FaultProxy.start(used.server)
    current.cleanup(() => proxy.stop())
    const lock = factoryOn(connect(current, proxy)).createLock('lost', 60_000)
    const lost = proxy.next('reply-lost', about('lost'))

    // ioredis sends it again once it is connected again, and then the own lease is in the way.
    assert.isTrue(await lock.acquire({ retry: { timeout: 20_000 } }))
    await lost
    await lock.release()
  })

  test('C6: an acquire that is given up leaves no lease', async ({ assert, test: current }) => {
    const { server } = used
    const redis = connect(current, server, { commandTimeout: 150 })
    const factory = factoryOn(redis)
    await insist(() => factory.createLock('warm').run(() => {}))
    server.pause()
    const lock = factory.createLock('given up', null)
    const error = await rejectionOf(lock.acquire())
    server.resume()

    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    await until(async () => (await server.cli('EXISTS', 'given up')) === '0')
    // The same owner tries again: what takes back the first acquisition must not take this one.
    assert.isTrue(await insist(() => lock.acquire({ retry: { attempts: 50, delay: 20 } })))
    await new Promise((done) => setTimeout(done, 100))
    assert.isTrue(await lock.isLocked())
    await lock.release()
  })

  test('C22: a server that is down ends calls with an error, and is used again when it is back', async ({
    assert,
    test: current,
  }) => {
    const server = await startStandalone()
    current.cleanup(() => server.stop())
    // Left to itself it would wait for ever.
    const redis = connect(current, server, { maxRetriesPerRequest: null, socketTimeout: 300 })
    const lock = factoryOn(redis).createLock('down')
    assert.isTrue(await lock.acquire())
    await server.kill()

    const calls = {
      release: () => lock.release(),
      extend: () => lock.extend(),
      acquire: () => lock.acquire(),
      isLocked: () => lock.isLocked(),
      forceRelease: () => lock.forceRelease(),
    }
    for (const [name, call] of Object.entries(calls)) {
      const error = await errorOf(call)
      assert.instanceOf(error, E_LOCK_STORAGE_ERROR, name)
      assert.instanceOf(error.cause, Error, name)
    }
    await server.restart()
    await until(async () => lock.acquireImmediately().catch(() => false))
    await lock.release()
  })

  test('C21: what the server refuses is told, with its error as the cause', async ({
    assert,
    test: current,
  }) => {
    const { server } = used
    await server.cli('CONFIG', 'SET', 'maxmemory', '1')
    current.cleanup(() => void server.cli('CONFIG', 'SET', 'maxmemory', '0'))
    const error = await rejectionOf(factoryOn(connect(current, server)).createLock('oom').acquire())

    assert.equal(error.code, 'E_LOCK_STORAGE_ERROR')
    assert.match(error.message, /OOM/)
    assert.equal(error.cause.name, 'ReplyError')
    assert.include(error.message, error.cause.message)
  })

  test('C21: no password is shown, though the error of ioredis carries it', async ({
    assert,
    test: current,
  }) => {
    const server = await startStandalone({ requirepass: 'hunter2' })
    current.cleanup(() => server.stop())
    const redis = connect(current, server, { password: 'hunter3', lazyConnect: true })
    const [bare, error] = await Promise.all([
      rejectionOf(redis.get('key')),
      rejectionOf(factoryOn(redis).createLock('key').acquire()),
    ])

    assert.match(inspect(bare, { depth: null }), /hunter3/)
    assert.match(error.message, /WRONGPASS|NOAUTH/)
    assert.notMatch(inspect(error, { depth: null, showHidden: true }), /hunter/)
    assert.notMatch(JSON.stringify(error), /hunter/)
  })
})
