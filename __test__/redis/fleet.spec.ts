/**
 * Fleets of processes: of loquet and Verrou together, killed while they hold and while they wait, on servers that are
 * killed too.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { redisStore } from 'loquet/drivers/redis'
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../faults/history.js'
import type { Random } from '../faults/random.js'
import type { Fleet, FleetOrder } from '../fleet/fleet.js'
import type { MemberOrder } from '../fleet/orders.js'
import {
  assertHistory,
  countToTheEnd,
  DOWN,
  killAndReplace,
  killWaiters,
  TIMEOUT,
  withFleetOn,
} from '../fleet/scenarios.js'
import { hasNoLeases, isFree, keysOf } from './fleet/keys.js'
import { wayTo } from './fleet/open.js'
import { startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

/** What is common to the members of these tests unless they say otherwise. */
function orderFor(server: RedisServer, more: Partial<MemberOrder> = {}): FleetOrder {
  const { host, port } = server
  return {
    peer: 'loquet',
    way: wayTo({ kind: 'options', options: { host, port } }),
    keys: ['one', 'two'],
    ttl: 10_000,
    delay: 50,
    tasks: 3,
    work: { kind: 'count' },
    ...more,
  }
}

/** Runs a test with a server and a fleet of its own. */
function withFleet(
  args: string[],
  run: (fleet: Fleet, server: RedisServer, random: Random) => Promise<void>
): Promise<void> {
  return withFleetOn(() => startStandalone({ args }), run)
}

test.group('Redis | mixed fleet', (group) => {
  group.each.timeout(TIMEOUT)

  test('C1: processes on Verrou and on loquet lose no update of a shared counter', async ({
    assert,
  }) => {
    await withFleet([], async (fleet, server) => {
      const { host, port } = server
      const keyPrefix = 'app:'
      const rounds = 12
      const base = orderFor(server, { keys: ['app:one', 'app:two'], delay: 5, rounds })
      const prefixed = wayTo({ kind: 'instance', options: { host, port, keyPrefix } })
      const bare = wayTo({ kind: 'instance', options: { host, port } })
      const plain = wayTo({ kind: 'options', options: { host, port, keyPrefix } })
      // The same keys, whoever adds the prefix: the client, the store or the caller.
      await fleet.start(1, { ...base, peer: 'verrou', way: prefixed, keyPrefix })
      await fleet.start(1, { ...base, peer: 'verrou', way: bare })
      await fleet.start(1, { ...base, way: prefixed, keyPrefix })
      await fleet.start(1, { ...base, way: plain, keyPrefix })
      await fleet.start(1, base)
      await countToTheEnd(assert, fleet, fleet.members.length * base.tasks * rounds)
      assert.deepEqual(await keysOf(server), [])
    })
  })

  test('C2, C15: locks acquired on one are released on the other', async ({ assert }) => {
    await withFleet([], async (fleet, server) => {
      const { host, port } = server
      const keyPrefix = 'app:'
      const base = orderFor(server, { keys: ['app:one', 'app:two'], delay: 5, rounds: 15 })
      const verrou = wayTo({ kind: 'instance', options: { host, port, keyPrefix } })
      const work = { kind: 'release' } as const
      const [toLoquet] = await fleet.start(1, { ...base, work }, 'release-on-loquet')
      const [toVerrou] = await fleet.start(
        1,
        { ...base, peer: 'verrou', way: verrou, keyPrefix, work },
        'release-on-verrou'
      )
      const handTo = (to: string) => ({ kind: 'count-and-hand', to }) as const
      const acquirers = [
        ...(await fleet.start(2, { ...base, work: handTo(toVerrou.name) })),
        ...(await fleet.start(2, {
          ...base,
          ...{ peer: 'verrou', way: verrou, keyPrefix, work: handTo(toLoquet.name) },
        })),
      ]
      fleet.go()
      await fleet.completed(acquirers)
      await fleet.waitUntil(() => isFree(server))
      await fleet.finish()

      const locks = acquirers.reduce((sum, { granted }) => sum + granted, 0)
      assert.equal(toLoquet.granted + toVerrou.granted, locks)
      assert.equal(toLoquet.granted, locks / 2)
      const skipped = acquirers.reduce((sum, one) => sum + one.skipped, 0)
      assert.equal(fleet.counted, locks - skipped)
      assertHistory(fleet)
    })
  })
})

test.group('Redis | killed', (group) => {
  group.each.timeout(TIMEOUT)

  test('C1, C2, C22: no update is lost when processes and a durable server are killed', async ({
    assert,
  }) => {
    await withFleet(
      ['--appendonly', 'yes', '--appendfsync', 'always'],
      async (fleet, server, random) => {
        const order = orderFor(server, { keys: ['one', 'two', 'three'], ttl: 1_500 })
        await fleet.start(6, order)
        await killAndReplace(assert, fleet, random, {
          orders: [order],
          rounds: 9,
          errors: DOWN,
          async between(round) {
            if (round % 3 !== 0) return false
            await server.kill()
            await sleep(random.integer(0, 300))
            await server.restart()
            return true
          },
        })
        await fleet.waitUntil(() => hasNoLeases(server))
      }
    )
  })

  test('C1, C22: a server without persistence forgets its locks, nothing else goes wrong', async ({
    assert,
  }) => {
    await withFleet([], async (fleet, server, random) => {
      const work = { kind: 'hold', millis: [0, 10] } as const
      await fleet.start(4, orderFor(server, { ttl: 3_000, work }))
      fleet.go()
      await fleet.progress(1)
      for (let round = 1; round <= 4; round++) {
        const from = now()
        await server.kill()
        await sleep(random.integer(0, 500))
        await server.restart()
        fleet.recorder.write({ kind: 'forgot', from, at: now() })
        await fleet.progress(2)
      }
      await fleet.finish()
      const { granted } = assertHistory(fleet, { errors: DOWN })
      assert.isAbove(granted, 0)
      await fleet.waitUntil(() => hasNoLeases(server))
    })
  })

  test('C8, C13: processes are killed while they wait, the others go on and nothing stays', async ({
    assert,
  }) => {
    await withFleet([], async (fleet, server, random) => {
      const work = { kind: 'hold', millis: [1, 4] } as const
      const ttl = 2_000
      // So seldom that whoever is skipped by the wake-ups is noticed.
      const order = orderFor(server, { keys: ['one'], ttl, delay: 60_000, work })
      const { host, port } = server
      const lock = new LockFactory(redisStore({ host, port }).factory()).createLock('one', 60_000)
      await killWaiters(assert, fleet, random, { order, members: 20, lock, kills: 5 })
      await fleet.waitUntil(() => hasNoLeases(server))
    })
  })

  test('C1, C8: processes are suspended, holders and waiters, and the others go on', async () => {
    await withFleet([], async (fleet, server) => {
      const work = { kind: 'hold', millis: [1, 4] } as const
      const members = await fleet.start(6, orderFor(server, { keys: ['one'], ttl: 1_000, work }))
      fleet.go()
      for (let round = 0; round < 3; round++) {
        await fleet.progress(1)
        const suspended = members.slice(2 * round, 2 * round + 2)
        for (const member of suspended) member.suspend()
        await fleet.progress(
          3,
          members.filter((member) => !suspended.includes(member))
        )
        for (const member of suspended) member.resume()
      }
      await fleet.progress(1)
      await fleet.finish()
      assertHistory(fleet)
      await fleet.waitUntil(() => hasNoLeases(server))
    })
  })
})
