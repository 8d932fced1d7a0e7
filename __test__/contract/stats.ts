/**
 * What `stats()` tells of stores on servers; written once, registered for each kind.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { test } from '@japa/runner'
import { Verrou } from 'loquet'
import type { StoreFactory } from 'loquet/types'

import { insist } from './outage.js'
import { FaultProxy } from '../faults/proxy.js'
import type { Target } from '../faults/proxy.js'
import { expire, until } from '../unit/observe.js'

/** A kind of server. */
export interface CountedServer<Server> {
  title: string
  start(): Promise<Server>
  /** A driver for a server that is reached at some address. Each number is one with connections of its own. */
  driver(server: Server, at: Target, apart: number): StoreFactory['driver']
}

/** Asked often, where nobody wakes. */
const SOON = { delay: 20 }

let drivers = 0

export function registerStats<Server extends Target & { stop(): Promise<void> }>(
  kind: CountedServer<Server>
): void {
  test.group(`${kind.title} stats`, (group) => {
    let server: Server
    let proxy: FaultProxy
    group.setup(async () => {
      server = await kind.start()
      proxy = await FaultProxy.start(server)
      return async () => {
        await proxy.stop()
        await server.stop()
      }
    })

    /** Connections of its own, made, with whatever is asked only once asked already. */
    const connect = async (): Promise<Verrou<{ main: StoreFactory }>> => {
      const driver = kind.driver(server, proxy, ++drivers)
      const verrou = new Verrou({ default: 'main', stores: { main: { driver } } })
      await insist((round) => verrou.createLock(`warm ${drivers} ${round}`).run(() => {}))
      return verrou
    }
    const statsOf = (verrou: Verrou<{ main: StoreFactory }>) => verrou.use().stats()
    const keyOf = (name: string) => `${name} ${drivers}`

    test('a lock that nobody contends for is two round trips', async ({ assert }) => {
      const verrou = await connect()
      const before = statsOf(verrou)
      const lock = verrou.createLock(keyOf('k'))
      await lock.acquire()
      const acquiredAt = performance.now()
      assert.equal(statsOf(verrou).leases, before.leases + 1)
      assert.equal(statsOf(verrou).roundTrips, before.roundTrips + 1)
      await sleep(20)
      const held = performance.now() - acquiredAt
      await lock.release()
      const after = statsOf(verrou)
      assert.equal(after.roundTrips, before.roundTrips + 2)
      assert.equal(after.wait.count, before.wait.count + 1)
      assert.equal(after.hold.count, before.hold.count + 1)
      assert.isAbove(after.wait.min, 0)
      assert.isAtLeast(after.hold.max, held * 0.999)
      assert.deepEqual([after.leases, after.waiters, after.reconnects], [before.leases, 0, 0])
      await verrou.close()
    })

    test('those who wait are counted, whoever holds the lock', async ({ assert }) => {
      const [verrou, elsewhere] = [await connect(), await connect()]
      const holder = elsewhere.createLock(keyOf('k'))
      await holder.acquire()
      const before = statsOf(verrou)
      const waiting = [1, 2].map(() => verrou.createLock(keyOf('k')).run(() => {}, { retry: SOON }))
      await until(() => statsOf(verrou).waiters === 2)
      const since = performance.now()
      const { contended, leases, roundTrips } = statsOf(verrou)
      assert.deepEqual(contended, [{ key: keyOf('k'), waiters: 2 }])
      assert.equal(leases, 0)
      assert.isAbove(roundTrips, before.roundTrips)
      assert.deepEqual([statsOf(elsewhere).waiters, statsOf(elsewhere).leases], [0, 1])
      await sleep(20)
      const waited = performance.now() - since
      await holder.release()
      await Promise.all(waiting)
      const after = statsOf(verrou)
      assert.deepEqual([after.waiters, after.contended, after.leases], [0, [], 0])
      assert.equal(after.wait.count, before.wait.count + 2)
      assert.isAtLeast(after.wait.max, waited * 0.999)
      await Promise.all([verrou.close(), elsewhere.close()])
    })

    test('a lease is held until its end, its forced release, or as long as it is extended', async ({
      assert,
    }) => {
      const verrou = await connect()
      const { hold } = statsOf(verrou)
      const [expired, freed] = [
        verrou.createLock(keyOf('e'), 10_000),
        verrou.createLock(keyOf('f')),
      ]
      await expired.acquire()
      await freed.acquire()
      assert.equal(statsOf(verrou).leases, 2)
      await expire(expired)
      await verrou.createLock(keyOf('f')).forceRelease()
      assert.deepEqual([statsOf(verrou).leases, statsOf(verrou).hold.count], [0, hold.count + 2])

      const kept = verrou.createLock(keyOf('kept'), 600)
      await kept.acquire({ autoExtend: true })
      await sleep(900)
      assert.equal(statsOf(verrou).leases, kept.isHeld() ? 1 : 0)
      await verrou.close({ release: true })
    })

    test('a connection that was lost is counted when there is another', async ({ assert }) => {
      const verrou = await connect()
      assert.equal(statsOf(verrou).reconnects, 0)
      proxy.cutAll()
      await insist((round) => verrou.createLock(keyOf(`cut ${round}`)).run(() => {}))
      const { reconnects } = statsOf(verrou)
      assert.isAtLeast(reconnects, 1)
      await verrou.createLock(keyOf('after')).run(() => {})
      assert.equal(statsOf(verrou).reconnects, reconnects)
      await verrou.close()
    })

    test('connections that are closed take their figures with them', async ({ assert }) => {
      const verrou = await connect()
      assert.isAbove(statsOf(verrou).wait.count, 0)
      await verrou.close()
      const { wait, roundTrips } = statsOf(verrou)
      assert.deepEqual([wait.count, wait.max, roundTrips], [0, 0, 0])
    })
  })
}
