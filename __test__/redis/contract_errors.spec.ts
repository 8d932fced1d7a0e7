/**
 * C21 on Redis: what goes wrong is told, and no secret is.
 */
import { inspect } from 'node:util'

import { test } from '@japa/runner'
import { Redis } from 'ioredis'
import { E_LOCK_STORAGE_ERROR, LockFactory, Verrou } from 'loquet'
import { redisStore, RedisStore } from 'loquet/drivers/redis'
import type { Assert } from '@japa/assert'
import type { RedisStoreOptions } from 'loquet/types'

import { makeCertificates } from './certificates.js'
import { startCluster, startSentinels, startStandalone, startTls } from './servers.js'
import { isPending, millisOf, rejectionOf, until } from '../unit/observe.js'
import { RecordingLogger } from '../unit/recording_logger.js'

/** Begins with what is looked for, whatever way it is written. */
const SECRET = 'hunter2 @/:%'
const WRONG = 'hunter3 @/:%'

/** Milliseconds; for what is to fail. */
const COMMAND_TIMEOUT = 1000
/** By how much a call may be late on such a machine. */
const SLACK = 6000

/** Everything that somebody may see of a value. */
function shown(value: unknown): string {
  const texts = [
    inspect(value, { depth: Infinity, showHidden: true, getters: true }),
    String(value),
    JSON.stringify(value),
  ]
  for (let error = value; error instanceof Error; error = error.cause) {
    texts.push(String(error.stack), error.message, error.toString())
  }
  return texts.join('\n')
}

/**
 * Fails unless all calls of a store end with a storage error in time, and nothing that is shown tells a secret.
 */
async function assertFails(
  assert: Assert,
  options: RedisStoreOptions,
  expected: RegExp
): Promise<void> {
  const logger = new RecordingLogger()
  const store = new RedisStore(options)
  const factory = new LockFactory(store, { logger })
  const verrou = new Verrou({
    default: 'redis',
    stores: { redis: { driver: redisStore(options) } },
    logger,
  })
  const lock = factory.createLock('k')
  const calls = {
    'acquire': () => lock.acquire(),
    'acquire of a Verrou': () => verrou.createLock('another').acquire(),
    'acquireImmediately': () => factory.createLock('at once').acquireImmediately(),
    'run': () => factory.createLock('run').run(() => assert.fail()),
    'release': () => lock.release(),
    'extend': () => lock.extend(),
    'forceRelease': () => lock.forceRelease(),
    'isLocked': () => lock.isLocked(),
    'save': () => store.save('saved', 'owner', 1000),
    'delete': () => store.delete('k', 'owner'),
  }
  const attempts = Object.entries(calls).map(async ([name, call]) => {
    let error: any
    const millis = await millisOf(async () => {
      error = await rejectionOf(call())
    })
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR, name)
    assert.equal(error.code, 'E_LOCK_STORAGE_ERROR', name)
    assert.instanceOf(error.cause, Error, name)
    assert.match(`${error.message} ${error.cause.message}`, expected, name)
    assert.isBelow(millis, COMMAND_TIMEOUT + SLACK, name)
    assert.notMatch(shown(error), /hunter/, name)
  })
  await Promise.all(attempts)
  await verrou.close()
  for (const [name, value] of Object.entries({ store, factory, verrou, lock, logger })) {
    assert.notMatch(shown(value), /hunter/, name)
  }
  assert.isNull(lock.getRemainingTime())
}

/** The ways to give the same settings. */
function waysOf(options: { host: string; port: number; username?: string; password: string }) {
  const { host, port, username = '', password } = options
  const login = `${username}:${encodeURIComponent(password)}@`
  const timeouts = { commandTimeout: COMMAND_TIMEOUT }
  return {
    'plain options': { ...options, ...timeouts },
    'a URL': { url: `redis://${login}${host}:${port}`, ...timeouts },
    'an ioredis instance': {
      connection: new Redis({ ...options, ...timeouts, lazyConnect: true }),
    },
  } satisfies Record<string, RedisStoreOptions>
}

test.group('Redis errors | login', () => {
  test('C21: a wrong password, and none where one is wanted', async ({ assert }) => {
    const server = await startStandalone({ requirepass: SECRET })
    const { host, port } = server
    for (const options of Object.values(waysOf({ host, port, password: WRONG }))) {
      await assertFails(assert, options, /WRONGPASS|invalid|password/i)
    }
    for (const options of Object.values(
      waysOf({ host, port, username: 'nobody', password: SECRET })
    )) {
      await assertFails(assert, options, /WRONGPASS|invalid|password/i)
    }
    const none = { host, port, commandTimeout: COMMAND_TIMEOUT }
    await assertFails(assert, none, /NOAUTH|authentication/i)
    assert.equal(await server.cli('KEYS', '*'), '')
    await server.stop()
  })

  test('C21: the right password locks, and is shown nowhere', async ({ assert }) => {
    const server = await startStandalone({ requirepass: SECRET })
    const { host, port } = server
    for (const options of Object.values(waysOf({ host, port, password: SECRET }))) {
      const logger = new RecordingLogger()
      const store = new RedisStore(options)
      const factory = new LockFactory(store, { logger })
      const lock = factory.createLock('k')
      assert.deepEqual(await lock.run(() => 'done'), [true, 'done'])
      const error = await rejectionOf(lock.release())
      for (const value of [store, factory, lock, logger, error, lock.serialize()]) {
        assert.notMatch(shown(value), /hunter/)
      }
    }
    await server.stop()
  })

  test('C21: a password that the server does not want is a warning without it', async ({
    assert,
  }) => {
    const server = await startStandalone()
    const { host, port } = server
    const ways = Object.values(waysOf({ host, port, password: SECRET }))
    for (const [index, options] of ways.entries()) {
      const logger = new RecordingLogger()
      const lock = new LockFactory(new RedisStore(options), { logger }).createLock('k')
      assert.isTrue(await lock.acquire())
      await lock.release()
      if (index === 0) {
        await until(() => logger.lines.some(({ level }) => level === 'warn'))
        const [line] = logger.lines.filter(({ level }) => level === 'warn')
        assert.match(line.message!, /password/)
      }
      assert.notMatch(shown(logger), /hunter/)
    }
    await server.stop()
  })

  test('C21: wrong passwords of sentinels, of the primary behind them, of a cluster', async ({
    assert,
  }) => {
    const [group, cluster] = await Promise.all([
      startSentinels({ requirepass: SECRET, sentinelPassword: `${SECRET} of sentinels` }),
      startCluster({ requirepass: SECRET }),
    ])
    const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }))
    const clusters = cluster.nodes.map(({ host, port }) => ({ host, port }))
    const common = { sentinels, name: group.name, commandTimeout: COMMAND_TIMEOUT }
    const sentinelPassword = `${SECRET} of sentinels`
    const right = { ...common, password: SECRET, sentinelPassword }
    const redisOptions = { password: SECRET, commandTimeout: COMMAND_TIMEOUT }
    for (const options of [
      { ...right, commandTimeout: undefined },
      { clusters, clusterOptions: { redisOptions: { password: SECRET } } },
    ]) {
      assert.isTrue(await new LockFactory(new RedisStore(options)).createLock('k').acquire())
    }

    const wrong = /WRONGPASS|NOAUTH|invalid|password|authentication/i
    await assertFails(assert, { ...right, password: WRONG }, wrong)
    await assertFails(assert, { ...right, sentinelPassword: WRONG }, wrong)
    await assertFails(assert, { ...right, sentinelPassword: undefined }, wrong)
    for (const password of [WRONG, undefined]) {
      const clusterOptions = { redisOptions: { ...redisOptions, password } }
      await assertFails(assert, { clusters, clusterOptions }, wrong)
    }
    await assertFails(assert, { ...right, name: 'nobody' }, /nobody|sentinel/i)
    await Promise.all([group.stop(), cluster.stop()])
  })

  test('C21: a user who may not do it is told so', async ({ assert }) => {
    const server = await startStandalone()
    const { host, port } = server
    await server.cli('ACL', 'SETUSER', 'reader', 'on', `>${SECRET}`, '~other:*', '+@all')
    const options = { host, port, username: 'reader', password: SECRET }
    await assertFails(assert, { ...options, commandTimeout: COMMAND_TIMEOUT }, /NOPERM|permission/i)
    await assertFails(
      assert,
      { ...options, db: 99, commandTimeout: COMMAND_TIMEOUT },
      /out of range|index/i
    )
    await server.stop()
  })

  test('C8, C21: a user who may use no channel locks all the same, and is told', async ({
    assert,
  }) => {
    const server = await startStandalone()
    const { host, port } = server
    await server.cli(
      ...['ACL', 'SETUSER', 'quiet', 'on', `>${SECRET}`, '~*', '+@all', 'resetchannels']
    )
    const logger = new RecordingLogger()
    const [ours, theirs] = ['one', 'two'].map((connectionName) => {
      const options = { host, port, username: 'quiet', password: SECRET, connectionName }
      return new LockFactory(new RedisStore(options), { logger, retry: { delay: 30 } })
    })
    const [lock, waiter] = [ours.createLock('k', 60_000), theirs.createLock('k')]
    await lock.acquire()
    const waiting = waiter.acquire()
    assert.isTrue(await isPending(waiting))
    await lock.release()
    assert.isTrue(await waiting)
    await waiter.release()
    await until(() => logger.lines.some(({ level }) => level === 'warn'))
    assert.notMatch(shown(logger), /hunter/)
    await server.stop()
  })
})

test.group('Redis errors | reaching the server', () => {
  test('C21: nobody listens, and nobody is called so', async ({ assert }) => {
    const server = await startStandalone()
    const { host, port } = server
    await server.kill()
    for (const options of Object.values(waysOf({ host, port, password: SECRET }))) {
      await assertFails(assert, options, /refused/i)
    }
    const common = { password: SECRET, commandTimeout: COMMAND_TIMEOUT }
    const unknown = { ...common, host: 'nobody.invalid' }
    await assertFails(assert, unknown, /nobody\.invalid|resolve|lookup|name/i)
    await assertFails(assert, { ...common, path: `${server.folder}/none` }, /none|no such file/i)
    const sentinels = [{ host, port }]
    await assertFails(assert, { ...common, sentinels, name: 'mymaster' }, /refused/i)
    const clusterOptions = { redisOptions: common }
    await assertFails(assert, { clusters: [{ host, port }], clusterOptions }, /refused/i)
    await server.stop()
  })

  test('C21: a certificate that does not fit', async ({ assert }) => {
    const [server, plain, others] = await Promise.all([
      startTls({ requirepass: SECRET }),
      startStandalone(),
      makeCertificates(),
    ])
    const common = { url: server.url, commandTimeout: COMMAND_TIMEOUT }
    const { ca, cert, key, host, port } = server
    for (const tls of [{ ca }, { ca, cert, key }, { rejectUnauthorized: false }]) {
      const lock = new LockFactory(new RedisStore({ url: server.url, tls })).createLock('k')
      assert.deepEqual(await lock.run(() => 'done'), [true, 'done'])
    }

    const unfit = /certificate|issuer/i
    await assertFails(assert, { ...common, tls: { ca: others.ca } }, unfit)
    await assertFails(assert, common, unfit)
    await assertFails(assert, { ...common, tls: { ca, servername: 'example.com' } }, unfit)
    const { url } = plain
    await assertFails(
      assert,
      { ...common, url: url.replace('redis:', 'rediss:'), tls: { ca } },
      /./
    )
    await assertFails(
      assert,
      { host, port, password: SECRET, commandTimeout: COMMAND_TIMEOUT },
      /./
    )
    await Promise.all([server.stop(), plain.stop()])
  })

  test('C21: a server that wants to see a certificate', async ({ assert }) => {
    const server = await startTls({ requireClientCertificate: true })
    const others = await makeCertificates()
    const { url, ca, cert, key } = server
    const common = { url, commandTimeout: COMMAND_TIMEOUT }
    const factory = new LockFactory(new RedisStore({ url, tls: { ca, cert, key } }))
    assert.isTrue(await factory.createLock('k').acquire())
    await assertFails(assert, { ...common, tls: { ca } }, /./)
    await assertFails(assert, { ...common, tls: { ca, ...others.client } }, /./)
    const error = await rejectionOf(factory.createLock('other').release())
    assert.notInclude(shown(error), key)
    await server.stop()
  })
})
