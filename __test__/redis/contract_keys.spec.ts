/**
 * C20 on Redis: what a key may be made of, where processes wait for each other.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { RedisStore } from 'loquet/drivers/redis'

import { isPending } from '../unit/observe.js'
import { startCluster, startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'
import type { NamedOptions } from './topologies.js'

/** Waiters are woken: a poll would come long after the test has failed. */
const NO_POLL = { delay: 60_000 }

/** Braces decide where a key lies in a cluster, and other characters where a command ends. */
const KEYS = [
  ...['{}', '}{', '{', '}', '{{', '}}', '{a}b', 'a{b', 'a{b}', '{a', 'a}', '{a}{b}', '{}{b}'],
  ...['{{a}}', 'a{}', '{}a', '{a}}', '{ }', '{\0}', '}a{b}c', '{{}', '{ключ}', '{🔒}', 'ключ{}'],
  ...[' ', 'a b', '\0', 'a\0b', '\r\n', 'a\r\nb', '$5\r\n', '*1\r\n$4\r\nPING\r\n', '\t', '"', "'"],
  ...["']) redis.call('flushall') --", ']] redis.call("flushall")', '%s%n', '\\', '\\r\\n', '-1'],
  ...['🔒', 'é', 'e\u0301', '日本語', '\uFEFF', '\u202E', 'KEYS[1]', 'ARGV[1]', '{KEYS[1]}'],
  ...['\uD800', 'a\uDC00b', '{\uD800}', 'x'.repeat(64 * 1024), `{${'y'.repeat(64 * 1024)}}`],
]

/** What is kept in Redis: text as UTF-8. */
function stored(key: string): string {
  return key.toWellFormed()
}

/** Two stores that share no connection, as in two processes. */
function openTwo(options: (connectionName: string) => NamedOptions): LockFactory[] {
  return ['one', 'two'].map(
    (name) => new LockFactory(new RedisStore(options(name)), { retry: NO_POLL })
  )
}

const KINDS = {
  standalone: async () => {
    const server = await startStandalone()
    const factories = openTwo((connectionName) => ({
      host: server.host,
      port: server.port,
      connectionName,
    }))
    return { nodes: [server], factories, stop: () => server.stop() }
  },
  cluster: async () => {
    const cluster = await startCluster()
    const clusters = cluster.nodes.map(({ host, port }) => ({ host, port }))
    const factories = openTwo((connectionName) => ({
      clusters,
      clusterOptions: { redisOptions: { connectionName } },
    }))
    return { nodes: cluster.nodes, factories, stop: () => cluster.stop() }
  },
}

/** All keys of all nodes. */
async function allKeys(nodes: RedisServer[]): Promise<unknown[]> {
  const replies = await Promise.all(nodes.map((node) => node.send(['KEYS', '*'])))
  return replies.flat(2)
}

for (const [name, start] of Object.entries(KINDS)) {
  test.group(`Redis keys | ${name}`, (group) => {
    let running: Awaited<ReturnType<typeof start>>
    group.setup(async () => {
      running = await start()
    })
    group.teardown(() => running.stop())

    test('C20: processes wait for each other and wake each other, whatever the key', async ({
      assert,
    }) => {
      const [ours, theirs] = running.factories
      for (const key of KEYS) {
        const title = JSON.stringify(key).slice(0, 40)
        const [lock, waiter] = [ours.createLock(key, 60_000), theirs.createLock(key, 60_000)]
        assert.isTrue(await lock.acquire(), title)
        const waiting = waiter.acquire({ retry: { timeout: 20_000 } })
        assert.isTrue(await isPending(waiting), title)
        await lock.extend(30_000)
        await ours.restoreLock(lock.serialize()).release()
        assert.isTrue(await waiting, title)
        assert.isTrue(await lock.isLocked(), title)
        await waiter.forceRelease()
        assert.isFalse(await waiter.isLocked(), title)
      }
      assert.deepEqual(await allKeys(running.nodes), [], 'nothing is left')
    })

    test('C20: the key in Redis is the very key, its value the owner', async ({ assert }) => {
      const [factory] = running.factories
      const distinct = [...new Set(KEYS.map(stored))]
      const locks = distinct.map((key) => factory.createLock(key, 60_000))
      for (const lock of locks) assert.isTrue(await lock.acquireImmediately())
      assert.sameMembers(await allKeys(running.nodes), distinct)
      if (running.nodes.length === 1) {
        const [server] = running.nodes
        for (const [index, key] of distinct.entries()) {
          assert.equal(await server.cli('GET', key), locks[index].getOwner())
        }
      }
      for (const lock of locks) await lock.release()
      assert.deepEqual(await allKeys(running.nodes), [])
    })

    test('C20: no key is spliced into a script: however many keys, the scripts are the same', async ({
      assert,
    }) => {
      const count = async () => {
        const infos = await Promise.all(running.nodes.map((node) => node.info('memory')))
        return infos.map((info) => Number(info.number_of_cached_scripts))
      }
      const [ours, theirs] = running.factories
      const work = async (key: string) => {
        const [lock, waiter] = [ours.createLock(key), theirs.createLock(key)]
        await lock.acquire()
        const waiting = waiter.acquire()
        await lock.extend()
        await lock.release()
        await waiting
        await waiter.release()
        await ours.createLock(key).forceRelease()
      }
      // Enough to have used each script on each node.
      for (let index = 0; index < 100; index++) await work(`warm ${index}`)
      const before = await count()
      for (let index = 0; index < 100; index++) await work(`key ${index} {${index}}`)
      assert.deepEqual(await count(), before)
    })

    test('C20: a lock may be called like what stands beside another lock in Redis', async ({
      assert,
    }) => {
      const [ours, theirs] = running.factories
      const [holder, waiter] = [ours.createLock('busy'), theirs.createLock('busy')]
      await holder.acquire()
      const waiting = waiter.acquire()
      await isPending(waiting)
      const others = await allKeys(running.nodes)
      assert.isAbove(others.length, 1, 'somebody is in line')

      for (const other of others as string[]) {
        if (other === 'busy') continue
        const lock = ours.createLock(other)
        assert.isFalse(await lock.isLocked(), other)
        assert.isTrue(await lock.acquire({ retry: { timeout: 9000 } }), other)
        await lock.release()
      }
      await holder.release()
      assert.isTrue(await waiting)
      await waiter.release()

      for (const other of others as string[]) {
        if (other !== 'busy') assert.isTrue(await ours.createLock(other, 20_000).acquire())
      }
      await holder.acquire()
      const next = waiter.acquire({ retry: { timeout: 5000 } })
      assert.isTrue(await isPending(next))
      await holder.release()
      assert.isTrue(await next)
    })
  })
}
