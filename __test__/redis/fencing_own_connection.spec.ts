/**
 * Fencing tokens over the app's own ioredis connection: the counters are those of the native store.
 */
import { test } from '@japa/runner'
import { Cluster, Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { LockFactory } from 'loquet'
import { RedisStore } from 'loquet/drivers/redis'
import type { LockStore, RedisConnection } from 'loquet/types'

import { ConnectionStore } from '../../lib/drivers/redis/connection_store.js'
import { until } from '../unit/observe.js'
import { collectSections } from '../unit/stores_under_test.js'
import { startCluster, startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

const WEEK = 7 * 24 * 3_600_000
const HOUR = 3_600_000

/** What a test closes in the end. */
interface Started {
  connect: (keyPrefix?: string) => RedisConnection
  /** The native store; there is none for a double. */
  openNative?: (keyPrefix: string) => LockStore
  nodes: RedisServer[]
  stop: () => Promise<void>
}

const KINDS: Record<string, () => Promise<Started>> = {
  'one server': async () => {
    const server = await startStandalone()
    const made: Redis[] = []
    return {
      connect: (keyPrefix) => {
        const redis = new Redis({ host: server.host, port: server.port, keyPrefix })
        made.push(redis)
        return redis
      },
      openNative: (keyPrefix) =>
        new RedisStore({ host: server.host, port: server.port, keyPrefix }),
      nodes: [server],
      stop: async () => {
        for (const redis of made) redis.disconnect()
        await server.stop()
      },
    }
  },
  'a cluster': async () => {
    const servers = await startCluster()
    const nodes = servers.nodes.map(({ host, port }) => ({ host, port }))
    const made: Cluster[] = []
    return {
      connect: (keyPrefix) => {
        const cluster = new Cluster(nodes, { scaleReads: 'slave', keyPrefix })
        made.push(cluster)
        return cluster
      },
      openNative: (keyPrefix) => new RedisStore({ clusters: nodes, clusterOptions: { keyPrefix } }),
      nodes: servers.nodes,
      stop: async () => {
        for (const cluster of made) cluster.disconnect()
        await servers.stop()
      },
    }
  },
  'a double': async () => ({
    connect: (keyPrefix) => new RedisMock({ keyPrefix }) as unknown as RedisConnection,
    nodes: [],
    stop: async () => {},
  }),
}

const storeOver = (connection: RedisConnection) => new ConnectionStore(() => connection)

/** All names that a server or a cluster has, byte by byte. */
async function namesIn(nodes: RedisServer[]): Promise<string[]> {
  const found = await Promise.all(
    nodes.map(async ({ host, port }) => {
      const redis = new Redis({ host, port })
      const names = await redis.keysBuffer('*')
      redis.disconnect()
      return names.map((name) => name.toString('latin1'))
    })
  )
  return [...new Set(found.flat())].sort()
}

const sections = await collectSections(['fencing'])

for (const [title, start] of Object.entries(KINDS)) {
  let started: Started
  let stores = 0
  for (const { section, define } of sections) {
    test.group(`${section} | ConnectionStore, ${title}`, (group) => {
      group.setup(async () => {
        started = await start()
      })
      const createStore = () => storeOver(started.connect(`${title} ${stores++}:`))
      define({
        name: title,
        isNative: false,
        isFenced: true,
        isOrdered: true,
        createStore,
        createFactory: (options) => new LockFactory(createStore(), options),
      })
    })
  }

  test.group(`fencing over an own connection | ${title}`, (group) => {
    group.teardown(() => started.stop())

    test('tokens grow over connections', async ({ assert }) => {
      const all = [0, 1, 2].map(() => storeOver(started.connect('shared:')))
      let last = 0n
      for (let round = 0; round < 9; round++) {
        const [holder, other] = [all[round % 3], all[(round + 1) % 3]]
        const token = (await holder.saveFenced('k', `owner ${round}`, 60_000)) as bigint
        assert.isTrue(token > last)
        last = token
        assert.strictEqual(await other.saveFenced('k', 'other', 60_000), false)
        await (round % 2 === 0 ? other.delete('k', `owner ${round}`) : other.forceDelete('k'))
      }
    })

    // There is no native store for a double.
    const withNative = title === 'a double' ? undefined : test
    withNative?.(
      'the counter is that of the native store, whatever a key has for braces',
      async ({ assert }) => {
        for (const prefix of ['native:', '{native}:', '}n{']) {
          const native = started.openNative!(prefix)
          const own = storeOver(started.connect(prefix))
          const raw = started.connect() as unknown as Redis
          for (const key of ['k', '{}', '}{', '{', 'a{b}c', 'a}b', '{}{b}', '{{a}}', 'ключ{}']) {
            await own.saveFenced(key, 'me', 60_000)
            await own.delete(key, 'me')
            const before = await namesIn(started.nodes)
            const stored = Buffer.from(`${prefix}${key}`).toString('latin1')
            const name = before.find((each) => each.includes(stored) && each.endsWith('fence\xFF'))!
            const ahead = (Date.now() + HOUR) * 1000
            await raw.set(Buffer.from(name, 'latin1'), String(ahead))
            assert.strictEqual(await native.saveFenced!(key, 'you', 60_000), BigInt(ahead + 1), key)
            assert.strictEqual(await own.saveFenced(key, 'me', 60_000), false)
            await native.delete(key, 'you')
            assert.strictEqual(await own.saveFenced(key, 'me', 60_000), BigInt(ahead + 2), key)
            await own.delete(key, 'me')
            assert.deepEqual(await namesIn(started.nodes), before)
            await raw.del(Buffer.from(name, 'latin1'))
          }
        }
      }
    )

    test('C20: whatever a key has for braces, its counter is where it is', async ({ assert }) => {
      const keys = [
        ...['{}', '}{', '{', '}', '{a}b', 'a{b', 'a{b}c', 'a}b', '{a}{b}', '{}{b}', '{{a}}'],
        ...['ключ{}', '{🔒}', '\uD800', '{x', 'x'.repeat(70_000)],
      ]
      for (const keyPrefix of ['', '{p}:', '}p{']) {
        const store = storeOver(started.connect(keyPrefix))
        for (const key of keys) {
          const token = await store.saveFenced(key, 'me', 60_000)
          await store.delete(key, 'me')
          const next = await store.saveFenced(key, 'you', 60_000)
          assert.isTrue((next as bigint) > (token as bigint), key)
          await store.delete(key, 'you')
        }
      }
    })
  })
}

test.group('fencing over an own connection | counters', (group) => {
  let server: RedisServer
  let redis: Redis
  group.setup(async () => {
    server = await startStandalone()
    redis = new Redis({ host: server.host, port: server.port, keyPrefix: 'app:' })
    return async () => {
      redis.disconnect()
      await server.stop()
    }
  })
  const fenceOf = (key: string) =>
    Buffer.concat([Buffer.from(`${key}:loquet:fence`), Buffer.of(255)])
  const store = () => storeOver(redis)

  test('the name is one that no lock can have; the value is the token, for a week', async ({
    assert,
  }) => {
    const token = (await store().saveFenced('k', 'me', 60_000)) as bigint
    assert.deepEqual(await namesIn([server]), ['app:k', 'app:k:loquet:fence\xFF'])
    assert.equal(await redis.get(fenceOf('k')), String(token))
    assert.equal(await redis.get('k'), 'me')
    assert.closeTo(await redis.pttl(fenceOf('k')), WEEK, 60_000)
    await store().delete('k', 'me')
    assert.isTrue(await store().save('k', 'plain', 60_000))
    await store().delete('k', 'plain')
    assert.deepEqual(await namesIn([server]), ['app:k:loquet:fence\xFF'])
  })

  test('in a cluster the name begins with a tag of the slot', async ({ assert }) => {
    const cluster = await KINDS['a cluster']()
    const own = storeOver(cluster.connect('app:'))
    for (const key of ['k', 'a{b}c']) await own.saveFenced(key, 'me', 60_000)
    assert.deepEqual(await namesIn(cluster.nodes), [
      'app:a{b}c',
      'app:k',
      '{app:k}:loquet:fence\xFF',
      '{b}:app:a{b}c:loquet:fence\xFF',
    ])
    await cluster.stop()
  })

  test('the last token counts where it is ahead of the clock, the clock where it is gone', async ({
    assert,
  }) => {
    const ahead = (Date.now() + HOUR) * 1000
    await redis.set(fenceOf('ahead'), String(ahead))
    assert.strictEqual(await store().saveFenced('ahead', 'me', 60_000), BigInt(ahead + 1))
    await store().forceDelete('ahead')
    assert.strictEqual(await store().saveFenced('ahead', 'me', null), BigInt(ahead + 2))
    await store().delete('ahead', 'me')
    await redis.del(fenceOf('ahead'))
    const before = BigInt(Date.now() - HOUR) * 1000n
    const token = (await store().saveFenced('ahead', 'me', 60_000)) as bigint
    assert.isTrue(token > before && token < BigInt(ahead))
  })

  test('a user who may not ask for the time lends the clock of this machine', async ({
    assert,
  }) => {
    await redis.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-time')
    const { host, port } = server
    const user = new Redis({ host, port, username: 'app', password: 'secret' })
    const before = BigInt(Date.now() - HOUR) * 1000n
    const token = (await storeOver(user).saveFenced('acl', 'me', 60_000)) as bigint
    assert.isTrue(token > before)
    await storeOver(user).delete('acl', 'me')
    assert.isTrue(((await storeOver(user).saveFenced('acl', 'you', 60_000)) as bigint) > token)
    user.disconnect()
  })

  test('C6: what is sent again after a loss: the token is that of the first time', async ({
    assert,
  }) => {
    let isArmed = true
    const listeners: (() => void)[] = []
    const resending = {
      options: {},
      set: redis.set.bind(redis),
      del: redis.del.bind(redis),
      eval: redis.eval.bind(redis),
      on: (event: string, listener: () => void) => event === 'close' && listeners.push(listener),
      async evalsha(digest: string, count: number, ...args: string[]) {
        const first = await redis.evalsha(digest, count, ...args)
        if (!isArmed) return first
        isArmed = false
        // The connection is lost with the reply, and ioredis sends it all again.
        for (const listener of listeners) listener()
        return redis.evalsha(digest, count, ...args)
      },
    }
    const unlucky = storeOver(resending as unknown as RedisConnection)
    await store().saveFenced('warm', 'me', 60_000)
    const token = await unlucky.saveFenced('lost', 'me', 60_000)
    assert.isFalse(isArmed)
    assert.equal(await redis.get(fenceOf('lost')), String(token))
    isArmed = true
    assert.strictEqual(await unlucky.saveFenced('lost', 'you', 60_000), false)
  })

  test('C22: an acquire that nobody has heard of is taken back, and later tokens are greater', async ({
    assert,
  }) => {
    const slow = {
      options: { commandTimeout: 200 },
      set: redis.set.bind(redis),
      del: redis.del.bind(redis),
      eval: redis.eval.bind(redis),
      async evalsha(digest: string, count: number, ...args: string[]) {
        const done = await redis.evalsha(digest, count, ...args)
        if (args.length > 2) await new Promise((resolve) => setTimeout(resolve, 600))
        return done
      },
    }
    await store().saveFenced('warm too', 'me', 60_000)
    await assert.rejects(
      () => storeOver(slow as unknown as RedisConnection).saveFenced('late', 'me', 600_000),
      /no answer from Redis/
    )
    await until(async () => (await redis.exists(fenceOf('late'))) === 1)
    const lost = BigInt((await redis.get(fenceOf('late')))!)
    await until(async () => !(await store().exists('late')))
    assert.isTrue(((await store().saveFenced('late', 'you', 60_000)) as bigint) > lost)
  })
})
