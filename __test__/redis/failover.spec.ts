/**
 * Twenty processes that lock while their primary is replaced, and while the slots of their cluster move.
 */
import { test } from '@japa/runner'
import { assertRight } from '../faults/checker.js'
import { now } from '../faults/history.js'
import { Random, withSeed } from '../faults/random.js'
import { Fleet } from '../fleet/fleet.js'
import type { FleetOrder } from '../fleet/fleet.js'
import { hasNoLeases } from './fleet/keys.js'
import { wayTo } from './fleet/open.js'
import type { RedisWay } from './fleet/open.js'
import { startCluster, startSentinels } from './servers.js'

const PROCESSES = 20
/** Milliseconds in which everybody has to make progress once the servers have settled. */
const SOON = 15_000
/** Milliseconds that a test may take on a machine that has other things to do. */
const TIMEOUT = 150_000
const ERRORS = ['E_LOCK_STORAGE_ERROR']

/** What is common to the members of these tests. */
function orderFor(way: RedisWay): FleetOrder {
  return {
    peer: 'loquet',
    way: wayTo(way),
    keys: Array.from({ length: 8 }, (_, place) => `key ${place}`),
    ttl: 2_000,
    delay: 50,
    tasks: 2,
    work: { kind: 'hold', millis: [5, 20] },
  }
}

/** The milliseconds until everybody has got two more locks. */
async function millisUntilProgress(fleet: Fleet): Promise<number> {
  const from = now()
  await fleet.progress(2)
  return now() - from
}

test.group('Redis | failover', (group) => {
  group.each.timeout(TIMEOUT)

  test('C22: whether its primary is replaced as planned, hangs or dies, all make progress again', async ({
    assert,
  }) => {
    await withSeed(async (seed) => {
      const servers = await startSentinels()
      const fleet = new Fleet(seed)
      try {
        const sentinels = servers.sentinels.map(({ host, port }) => ({ host, port }))
        // How soon a server that hangs is given up.
        const timeouts = { commandTimeout: 2_000, connectTimeout: 2_000 }
        const options = { sentinels, name: servers.name, ...timeouts }
        await fleet.start(PROCESSES, orderFor({ kind: 'options', options }))
        fleet.go()
        await fleet.progress(1)

        const planned = now()
        await servers.failover()
        // What the old primary had acknowledged may not have reached the new one.
        fleet.recorder.write({ kind: 'forgot', from: planned, at: now() })
        assert.isBelow(await millisUntilProgress(fleet), SOON)

        const suspended = now()
        const hanging = await servers.primaryServer()
        hanging.pause()
        await fleet.waitUntil(async () => (await servers.primaryServer()) !== hanging)
        assert.isBelow(await millisUntilProgress(fleet), SOON)
        // It performs what it has been sent meanwhile, until it learns that it has been replaced.
        hanging.resume()
        await servers.settled()
        fleet.recorder.write({ kind: 'forgot', from: suspended, at: now() })
        assert.isBelow(await millisUntilProgress(fleet), SOON)

        const killed = now()
        const old = await servers.killPrimary()
        fleet.recorder.write({ kind: 'forgot', from: killed, at: now() })
        assert.isBelow(await millisUntilProgress(fleet), SOON)

        // It comes back as a replica.
        await old.restart()
        await servers.settled()
        assert.isBelow(await millisUntilProgress(fleet), SOON)

        await fleet.finish()
        assertRight(fleet.history.read(), { patience: SOON, errors: ERRORS })
        const primary = await servers.primaryServer()
        await fleet.waitUntil(() => hasNoLeases(primary))
      } finally {
        await fleet.remove()
        await servers.stop()
      }
    })
  })
})

test.group('Redis | resharding', (group) => {
  group.each.timeout(TIMEOUT)

  test('C1, C22: while slots move no lock is lost, and afterwards all make progress', async ({
    assert,
  }) => {
    await withSeed(async (seed) => {
      const cluster = await startCluster()
      const fleet = new Fleet(seed)
      const random = new Random(seed)
      try {
        const clusters = cluster.nodes.map(({ host, port }) => ({ host, port }))
        const order = orderFor({ kind: 'options', options: { clusters } })
        await fleet.start(PROCESSES, order)
        fleet.go()
        await fleet.progress(1)
        for (let round = 0; round < 3; round++) {
          // The slots of keys that are locked all the time, and some others.
          for (const key of order.keys) {
            const slot = await cluster.slotOf(key)
            const source = cluster.nodes.indexOf(await cluster.ownerOf(slot))
            await cluster.moveSlot(slot, source, (source + random.integer(1, 2)) % 3)
          }
          await cluster.reshard(10)
          assert.isBelow(await millisUntilProgress(fleet), SOON)
        }
        await fleet.finish()
        assertRight(fleet.history.read(), { patience: SOON, errors: ERRORS })
        await fleet.waitUntil(() => hasNoLeases(...cluster.nodes))
      } finally {
        await fleet.remove()
        await cluster.stop()
      }
    })
  })
})
