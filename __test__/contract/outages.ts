/**
 * C22: servers that are down, paused, restarted, whatever they are.
 */
import { test } from '@japa/runner'
import { Verrou } from 'loquet'
import type { Assert } from '@japa/assert'
import type { LockFactory } from 'loquet'
import type { LockStore } from 'loquet/types'

import { isPending, millisOf, rejectionOf, sleep, until } from '../unit/observe.js'
import {
  assertAllFail,
  assertStorageError,
  assertUsable,
  COMMAND_TIMEOUT,
  giveBack,
  insist,
  NO_POLL,
  SLACK,
} from './outage.js'

/** What stores are told besides where the server is. */
export interface OutageOptions {
  /** Milliseconds. */
  commandTimeout?: number
  /** Stores with different numbers share no connection, as in two processes. */
  apart?: number
}

/** A private server with nothing in it. */
export interface FailingServer {
  kill(): Promise<void>
  restart(): Promise<void>
  pause(): void
  resume(): void
  stop(): Promise<void>
  /** How a `Verrou` is told of it. */
  driver(options: OutageOptions): { factory: () => LockStore }
  open(options?: OutageOptions): LockFactory
  /** What is left of locks. */
  remains(): Promise<string[]>
}

export interface FailingKind {
  title: string
  start(): Promise<FailingServer>
  /** Servers that remember leases when they are killed, and such that don't. */
  memories: { start: () => Promise<FailingServer>; remembers: boolean }[]
}

async function withServer(
  start: () => Promise<FailingServer>,
  run: (server: FailingServer) => Promise<void>
): Promise<void> {
  const server = await start()
  try {
    await run(server)
  } finally {
    await server.stop()
  }
}

/** What was asked for may be done long after its call has ended: then it is undone, and nothing comes afterwards. */
async function assertEmpty(assert: Assert, server: FailingServer): Promise<void> {
  await until(async () => {
    const remains = await server.remains()
    return remains.length === 0
  })
  await sleep(300)
  assert.deepEqual(await server.remains(), [])
}

/** Registers the tests for a kind of server. */
export function registerOutages({ title, start, memories }: FailingKind): void {
  test.group(`${title} | no server`, () => {
    test('C22: down at boot: calls end in time, no acquire succeeds, it is used once it is there', async ({
      assert,
    }) => {
      await withServer(start, async (server) => {
        await server.kill()
        const options = { commandTimeout: COMMAND_TIMEOUT }
        const verrou = new Verrou({
          default: 'one',
          stores: { one: { driver: server.driver(options) } },
        })
        const factory = server.open(options)
        await assertAllFail(assert, verrou.use('one'))
        await assertAllFail(assert, factory)
        await server.restart()
        await assertUsable(assert, verrou.use('one'))
        await assertUsable(assert, factory)
        await verrou.close()
      })
    })

    test('C22: who waits for the same key ends in time too, however many they are', async ({
      assert,
    }) => {
      await withServer(start, async (server) => {
        const factory = server.open({ commandTimeout: COMMAND_TIMEOUT })
        await insist(() => factory.createLock('k').run(() => {}))
        await server.kill()
        const waits = Array.from({ length: 50 }, () =>
          assertStorageError(assert, () => factory.createLock('k').acquire())
        )
        await Promise.all(waits)
        await server.restart()
        await assertUsable(assert, factory)
      })
    })

    test('C22: an acquire that is asked for while it is down is granted if it comes back in time', async ({
      assert,
    }) => {
      await withServer(start, async (server) => {
        const factory = server.open({ commandTimeout: 20_000 })
        for (const isConnected of [false, true]) {
          await server.kill()
          const lock = factory.createLock(`connected before: ${isConnected}`)
          const acquiring = lock.acquire()
          assert.isTrue(await isPending(acquiring))
          await server.restart()
          assert.isTrue(await acquiring)
          await lock.release()
        }
      })
    })

    test('C22: killed in the middle: all calls end, and it is used again', async ({ assert }) => {
      await withServer(start, async (server) => {
        const factory = server.open({ commandTimeout: COMMAND_TIMEOUT })
        const tasks = Array.from({ length: 60 }, async (_, index) => {
          const lock = factory.createLock(`key ${index % 5}`, 3_000)
          for (;;) {
            try {
              await lock.run(() => sleep(1))
            } catch (error: any) {
              // Late on a busy machine.
              if (error.code === 'E_LOCK_NOT_OWNED' && lock.isExpired()) continue
              assert.equal(error.code, 'E_LOCK_STORAGE_ERROR')
              assert.instanceOf(error.cause, Error)
              return
            }
          }
        })
        await sleep(50)
        await server.kill()
        await Promise.all(tasks)
        await server.restart()
        for (let index = 0; index < 5; index++) {
          const lock = factory.createLock(`key ${index}`)
          assert.isTrue(await insist(() => lock.acquire({ retry: { timeout: 10_000 } })))
          await giveBack(assert, lock)
        }
      })
    })

    test('C8, C22: waiters outlive a short restart, whether or not the server remembers the lease', async ({
      assert,
    }) => {
      for (const { start: startOne, remembers } of memories) {
        await withServer(startOne, async (server) => {
          const factories = [1, 2].map((apart) => server.open({ apart, commandTimeout: 20_000 }))
          const holder = factories[0].createLock('k', 60_000)
          await holder.acquire()
          const order: number[] = []
          const waits = factories.flatMap((factory, place) =>
            [0, 1, 2].map(async (index) => {
              const lock = factory.createLock('k', 60_000)
              assert.isTrue(await lock.acquire({ retry: NO_POLL }))
              order.push(place * 10 + index)
              await lock.release()
            })
          )
          await sleep(100)
          await server.restart()
          if (remembers) await holder.release()
          await Promise.all(waits)
          assert.lengthOf(order, 6)
          // First come, first served within a process.
          for (const place of [0, 10]) {
            assert.deepEqual(
              order.filter((index) => index - place >= 0 && index - place < 10),
              [place, place + 1, place + 2]
            )
          }
          assert.deepEqual(await server.remains(), [])
        })
      }
    })
  })

  registerPauses(title, start)
}

/** Registers those of servers that don't answer, and do later. */
export function registerPauses(title: string, start: () => Promise<FailingServer>): void {
  test.group(`${title} | a server that does not answer`, () => {
    test('C22: who waits for the same key of a paused server ends in time too, however many they are', async ({
      assert,
    }) => {
      await withServer(start, async (server) => {
        const factory = server.open({ commandTimeout: COMMAND_TIMEOUT })
        await insist(() => factory.createLock('k').run(() => {}))
        server.pause()
        const waits = Array.from({ length: 50 }, () =>
          assertStorageError(assert, () => factory.createLock('k').acquire())
        )
        await Promise.all(waits)
        server.resume()
        await assertUsable(assert, factory)
      })
    })

    test('C22: paused for longer than the timeouts: calls end in time, afterwards nothing is left', async ({
      assert,
    }) => {
      await withServer(start, async (server) => {
        const factory = server.open({ commandTimeout: COMMAND_TIMEOUT })
        const held = await insist(async (round) => {
          const lock = factory.createLock(`held ${round}`, 60_000)
          await lock.acquire()
          return lock
        })
        server.pause()
        await assertAllFail(assert, factory)
        server.resume()
        await assertUsable(assert, factory)
        await giveBack(assert, held)
        await assertEmpty(assert, server)
      })
    })

    test('C22: paused at boot: the same', async ({ assert }) => {
      await withServer(start, async (server) => {
        const factory = server.open({ commandTimeout: COMMAND_TIMEOUT })
        server.pause()
        await assertAllFail(assert, factory)
        server.resume()
        await assertUsable(assert, factory)
        await assertEmpty(assert, server)
      })
    })

    test('C9, C22: waiters whose timeout ends meanwhile give up in time', async ({ assert }) => {
      await withServer(start, async (server) => {
        const factory = server.open({ commandTimeout: 10_000 })
        await factory.createLock('k', 60_000).acquire()
        const waits = [100, 200, 300].map(async (timeout) => {
          const millis = await millisOf(async () => {
            const lock = factory.createLock('k')
            assert.isFalse(await lock.acquire({ retry: { timeout, delay: 10 } }))
          })
          assert.isAbove(millis, timeout)
          assert.isBelow(millis, timeout + SLACK)
        })
        await sleep(30)
        server.pause()
        await Promise.all(waits)
        server.resume()
        await assertUsable(assert, factory)
      })
    })

    test('C2, C22: a lease that ended while the server was paused is gone', async ({ assert }) => {
      await withServer(start, async (server) => {
        const factory = server.open()
        const old = factory.createLock('k', 300)
        await old.acquire()
        server.pause()
        await until(() => old.isExpired())
        server.resume()
        const next = factory.createLock('k')
        assert.isTrue(await next.acquire())
        const error = await rejectionOf(old.release())
        assert.equal(error.code, 'E_LOCK_NOT_OWNED')
        await next.release()
      })
    })
  })
}
