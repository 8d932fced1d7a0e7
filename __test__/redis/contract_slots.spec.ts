/**
 * A cluster whose slots move and whose nodes come and go, step by step.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { RedisStore } from 'loquet/drivers/redis'

import { assertStorageError, assertUsable, COMMAND_TIMEOUT, NO_POLL } from './outage.js'
import { startCluster } from './servers.js'
import type { RedisCluster } from './servers.js'
import { isPending, rejectionOf, sleep, until } from '../unit/observe.js'

/** Stores that share no connection, as in several processes. */
function openFactories(
  cluster: RedisCluster,
  names: string[],
  commandTimeout?: number
): LockFactory[] {
  const clusters = cluster.nodes.map(({ host, port }) => ({ host, port }))
  return names.map((connectionName) => {
    const redisOptions = { connectionName, commandTimeout }
    const store = new RedisStore({ clusters, clusterOptions: { redisOptions } })
    return new LockFactory(store, { retry: NO_POLL })
  })
}

async function withCluster(run: (cluster: RedisCluster) => Promise<void>): Promise<void> {
  const cluster = await startCluster()
  try {
    await run(cluster)
  } finally {
    await cluster.stop()
  }
}

/** Where a key lies, and where it is to go. */
async function routeOf(cluster: RedisCluster, key: string) {
  const slot = await cluster.slotOf(key)
  const from = cluster.nodes.indexOf(await cluster.ownerOf(slot))
  return { slot, from, to: (from + 1) % cluster.nodes.length }
}

test.group('Redis slots', () => {
  test('C2, C3: a lock is used as ever while its slot is on its way', async ({ assert }) => {
    await withCluster(async (cluster) => {
      const [ours, theirs] = openFactories(cluster, ['one', 'two'])
      const use = async (key: string) => {
        const lock = ours.createLock(key, 60_000)
        assert.isTrue(await lock.acquire({ retry: { timeout: 5000 } }))
        assert.isFalse(await theirs.createLock(key).acquireImmediately())
        await lock.extend(30_000)
        assert.isTrue(await lock.isLocked())
        await theirs.restoreLock(lock.serialize()).release()
        const error = await rejectionOf(lock.release())
        assert.equal(error.code, 'E_LOCK_NOT_OWNED')
        assert.isFalse(await lock.isLocked())
      }
      // All in one slot.
      const keys = ['{k}', '{k} held', '{k} held too', '{k} new'] as const
      const held = ours.createLock(keys[1], 60_000)
      const heldToo = theirs.createLock(keys[2], 60_000)
      await use(keys[0])
      await held.acquire()
      await heldToo.acquire()

      const { slot, from, to } = await routeOf(cluster, keys[0])
      const move = await cluster.beginMove(slot, from, to)
      await use(keys[0])
      await held.extend(50_000)
      assert.equal(await move.moveKeys(), 2)
      await held.extend(40_000)
      assert.isFalse(await theirs.createLock(keys[1]).acquireImmediately())
      await use(keys[0])
      await use(keys[3])
      await move.finish()
      await use(keys[3])
      await held.release()
      await ours.restoreLock(heldToo.serialize()).release()
      for (const key of keys) await use(key)
    })
  })

  test('a fenced lock comes when its slot has been moved, and its tokens grow on', async ({
    assert,
  }) => {
    await withCluster(async (cluster) => {
      const [ours, theirs] = openFactories(cluster, ['one', 'two'], 20_000)
      const lock = ours.createLock('{k}', 60_000, { fencing: true })
      await lock.acquire()
      const first = lock.fencingToken!
      await lock.release()

      const { slot, from, to } = await routeOf(cluster, '{k}')
      const move = await cluster.beginMove(slot, from, to)
      const next = theirs.createLock('{k}', 60_000, { fencing: true })
      const acquiring = next.acquire()
      assert.isTrue(await isPending(acquiring))
      assert.equal(await move.moveKeys(), 1)
      assert.isTrue(await isPending(acquiring))
      await move.finish()
      assert.isTrue(await acquiring)
      assert.isTrue(next.fencingToken! > first, `${next.fencingToken} after ${first}`)
      await next.release()
    })
  })

  test('C8: who has waited while its slot moved is woken', async ({ assert }) => {
    await withCluster(async (cluster) => {
      const factories = openFactories(cluster, ['one', 'two', 'three'])
      const holder = factories[0].createLock('k', 60_000)
      await holder.acquire()
      const waits = [...factories, ...factories].map((factory) =>
        factory
          .createLock('k', 60_000)
          .run(() => 'done', { retry: { ...NO_POLL, timeout: 30_000 } })
      )
      await Promise.all(waits.map(isPending))
      for (let round = 0; round < 2; round++) {
        const { slot, from, to } = await routeOf(cluster, 'k')
        await cluster.moveSlot(slot, from, to)
      }
      await cluster.settled()
      await holder.release()
      for (const outcome of await Promise.all(waits)) assert.deepEqual(outcome, [true, 'done'])
    })
  })

  test('C1, C8: a lock goes from hand to hand while its slot moves bit by bit', async ({
    assert,
  }) => {
    await withCluster(async (cluster) => {
      const factories = openFactories(cluster, ['one', 'two', 'three'])
      let [inside, most, done] = [0, 0, 0]
      let isOver = false
      const tasks = [...factories, ...factories, ...factories].map(async (factory) => {
        while (!isOver) {
          const [isDone] = await factory.createLock('{k} lock', 60_000).run(
            async () => {
              most = Math.max(most, ++inside)
              await sleep(2)
              inside--
            },
            { retry: { delay: 1000, timeout: 30_000 } }
          )
          if (isDone) done++
        }
      })
      for (let round = 0; round < 3; round++) {
        const { slot, from, to } = await routeOf(cluster, '{k}')
        await sleep(50)
        const move = await cluster.beginMove(slot, from, to)
        for (let step = 0; step < 3; step++) {
          await move.moveKeys(1)
          await sleep(50)
        }
        await move.finish()
      }
      await cluster.settled()
      const before = done
      await until(() => done > before + 20)
      isOver = true
      await Promise.all(tasks)
      assert.equal(most, 1)
    })
  })

  test('C22: a node is down: calls for its keys end in time, later it is used again', async ({
    assert,
  }) => {
    await withCluster(async (cluster) => {
      const [factory] = openFactories(cluster, ['one'], COMMAND_TIMEOUT)
      const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`)
      for (const key of keys) await factory.createLock(key).run(() => {})
      const [node] = cluster.nodes
      await node.kill()
      const lost: string[] = []
      for (const key of keys) {
        if ((await cluster.ownerOf(await cluster.slotOf(key))) === node) lost.push(key)
      }
      assert.isNotEmpty(lost)
      await Promise.all(
        lost.map((key) => assertStorageError(assert, () => factory.createLock(key).acquire()))
      )
      // The other nodes notice, and then none of them serves any key.
      await until(async () => {
        const states = await Promise.all(
          cluster.nodes.slice(1).map((other) => other.cli('CLUSTER', 'INFO'))
        )
        return states.every((state) => state.includes('cluster_state:fail'))
      })
      const errors = await Promise.all(
        keys.map((key) => assertStorageError(assert, () => factory.createLock(key).acquire()))
      )
      assert.isTrue(
        errors.some(({ message, cause }) => /CLUSTERDOWN|down/i.test(`${message} ${cause}`))
      )
      await node.restart()
      await cluster.settled()
      for (const key of keys) {
        await factory.createLock(key).run(() => {}, { retry: { timeout: 10_000 } })
      }
      await assertUsable(assert, factory)
    })
  })

  test('C22: the nodes that were named may all be gone: the others are known', async ({
    assert,
  }) => {
    await withCluster(async (cluster) => {
      const [first] = cluster.nodes
      const clusters = [{ host: first.host, port: first.port }]
      const factory = new LockFactory(new RedisStore({ clusters }))
      await assertUsable(assert, factory)
      // A slot of another node.
      const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`)
      for (const key of keys) {
        const { slot, from } = await routeOf(cluster, key)
        if (from === 0) continue
        await cluster.nodes[1].cli('CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
        await cluster.nodes[2].cli('CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
        await first.kill()
        const other = from === 1 ? 2 : 1
        await cluster.moveSlot(slot, from, other).catch(() => {})
        const lock = factory.createLock(key)
        assert.isTrue(await lock.acquire({ retry: { timeout: 10_000 } }))
        await lock.release()
        return
      }
    })
  })
})
