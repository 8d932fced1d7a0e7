/**
 * Fleets of processes: of loquet and Verrou together, killed while they hold and while they wait, on servers that are
 * killed too.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { redisStore } from 'loquet/drivers/redis'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertRight } from '../faults/checker.js'
import type { CheckOptions } from '../faults/checker.js'
import { now } from '../faults/history.js'
import { Random, withSeed } from '../faults/random.js'
import { Fleet } from '../fleet/fleet.js'
import type { FleetOrder } from '../fleet/fleet.js'
import type { MemberOrder } from '../fleet/orders.js'
import { hasNoLeases, isFree, keysOf } from './fleet/keys.js'
import { wayTo } from './fleet/open.js'
import { startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

/** Milliseconds that a test may take on a machine that has other things to do. */
const TIMEOUT = 150_000

/** Errors that a server which comes and goes may lead to. */
const DOWN = ['E_LOCK_STORAGE_ERROR']

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
async function withFleet(
  args: string[],
  run: (fleet: Fleet, server: RedisServer, random: Random) => Promise<void>
): Promise<void> {
  await withSeed(async (seed) => {
    const server = await startStandalone({ args })
    const fleet = new Fleet(seed)
    try {
      await run(fleet, server, new Random(seed))
    } finally {
      await fleet.remove()
      await server.stop()
    }
  })
}

function assertHistory(fleet: Fleet, options: Partial<CheckOptions> = {}) {
  return assertRight(fleet.history.read(), { patience: 8_000, ...options })
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
      fleet.go()
      await fleet.completed()

      const locks = fleet.members.reduce((sum, { granted }) => sum + granted, 0)
      const skipped = fleet.members.reduce((sum, one) => sum + one.skipped, 0)
      assert.equal(locks, fleet.members.length * base.tasks * rounds)
      assert.equal(fleet.counted, locks - skipped)
      const { granted } = assertHistory(fleet)
      assert.equal(granted, locks)
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
        fleet.go()
        await fleet.progress(1)
        for (let round = 1; round <= 9; round++) {
          if (round % 3 === 0) {
            await server.kill()
            await sleep(random.integer(0, 300))
            await server.restart()
          } else {
            await fleet.kill(random.pick(fleet.running))
            fleet.go(await fleet.start(1, order))
          }
          // Somebody, not everybody: a holder's lease outlives it.
          await fleet.progressOfAny()
        }
        await fleet.progress(2)
        await fleet.finish()
        const { granted } = assertHistory(fleet, { errors: DOWN })
        assert.isAtMost(fleet.counted, granted)
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
      await fleet.start(20, order)
      const { host, port } = server
      const factory = new LockFactory(redisStore({ host, port }).factory())
      const lock = factory.createLock('one', 60_000)
      assert.isTrue(await lock.acquire())
      fleet.go()
      // All of them wait.
      await fleet.waitUntil(async () => {
        const asked = fleet.history.read().filter(({ kind }) => kind === 'asked')
        return asked.length === 20 * order.tasks
      })
      for (let killed = 0; killed < 5; killed++) await fleet.kill(random.pick(fleet.running))
      await lock.release()
      for (let killed = 0; killed < 5; killed++) {
        await fleet.progressOfAny()
        await fleet.kill(random.pick(fleet.running))
      }
      assert.lengthOf(fleet.running, 10)
      await fleet.progress(2 * order.tasks)
      await fleet.finish()
      assertHistory(fleet)
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
