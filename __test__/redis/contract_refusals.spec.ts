/**
 * C22 on Redis: servers that are read-only, loading, full, forgetful, or that hang up.
 */
import { test } from '@japa/runner'

import {
  assertStorageError,
  assertUsable,
  COMMAND_TIMEOUT,
  NO_POLL,
  openFactory,
  withServer,
} from './outage.js'
import { isPending, rejectionOf, sleep, until } from '../unit/observe.js'

test.group('Redis refusals | a server that refuses', () => {
  test('C22: a replica takes no locks, and does once it is the primary', async ({ assert }) => {
    await withServer({ args: ['--repl-diskless-sync-delay', '0'] }, async (primary) => {
      await withServer({}, async (server) => {
        const factory = openFactory(server, { commandTimeout: COMMAND_TIMEOUT })
        const held = factory.createLock('held', 60_000)
        await held.acquire()
        await server.cli('REPLICAOF', primary.host, primary.port)
        await until(async () =>
          /master_link_status:up/.test(await server.cli('INFO', 'replication'))
        )
        const lock = factory.createLock('k')
        for (const call of [
          () => lock.acquire(),
          () => lock.acquireImmediately(),
          () => lock.forceRelease(),
        ]) {
          const error = await assertStorageError(assert, call)
          assert.match(`${error.message} ${(error.cause as Error).message}`, /READONLY|replica/i)
        }
        await server.cli('REPLICAOF', 'NO', 'ONE')
        await assertUsable(assert, factory)
        // Its data was that of the primary meanwhile.
        const error = await rejectionOf(held.release())
        assert.equal(error.code, 'E_LOCK_NOT_OWNED')
      })
    })
  })

  test('C22: while it loads its data it is asked again', async ({ assert }) => {
    const args = [
      ...['--appendonly', 'yes', '--enable-debug-command', 'yes'],
      // Microseconds for each key, and after how many bytes it looks after its clients.
      ...['--key-load-delay', '2000', '--loading-process-events-interval-bytes', '1024'],
    ]
    await withServer({ args }, async (server) => {
      const factory = openFactory(server, { commandTimeout: 30_000 })
      const held = factory.createLock('held', 60_000)
      await held.acquire()
      await server.cli('DEBUG', 'POPULATE', 1000)
      await server.cli('BGREWRITEAOF')
      await until(async () => {
        const info = await server.info('persistence')
        return info.aof_rewrite_in_progress === '0' && info.aof_last_rewrite_time_sec !== '-1'
      })
      await server.restart({ mayLoad: true })
      await assert.rejects(() => server.cli('GET', 'held'), /^LOADING/)
      const impatient = factory.createLock('other').acquire({ retry: { timeout: 200 } })
      const patient = factory.createLock('k')
      const acquiring = patient.acquire()
      assert.isFalse(await impatient)
      assert.isTrue(await acquiring)
      await patient.release()
      await held.release()
    })
  })

  test('C22: a server without memory refuses acquires with a clear error, releases go on', async ({
    assert,
  }) => {
    await withServer({ args: ['--maxmemory-policy', 'noeviction'] }, async (server) => {
      const factory = openFactory(server, { commandTimeout: COMMAND_TIMEOUT })
      const [held, other] = ['held', 'other'].map((key) => factory.createLock(key, 60_000))
      await held.acquire()
      await other.acquire()
      const waiting = factory.createLock('held').acquire({ retry: { timeout: 20_000 } })
      assert.isTrue(await isPending(waiting))
      await server.cli('CONFIG', 'SET', 'maxmemory', '1')
      const error = await assertStorageError(assert, () => factory.createLock('k').acquire())
      assert.match(error.message, /OOM|memory/)
      await assertStorageError(assert, () => factory.createLock('k2').acquireImmediately())
      await other.release()
      assert.equal(await server.cli('EXISTS', 'other'), '0')
      await held.release()
      await waiting.catch((reason) => assert.equal(reason.code, 'E_LOCK_STORAGE_ERROR'))
      await server.cli('CONFIG', 'SET', 'maxmemory', '0')
      await assertUsable(assert, factory)
    })
  })
})

test.group('Redis refusals | a server that forgets', () => {
  test('C22: scripts are flushed between and during calls', async ({ assert }) => {
    await withServer({}, async (server) => {
      const factories = ['one', 'two'].map((connectionName) =>
        openFactory(server, { connectionName })
      )
      let done = 0
      let isOver = false
      const flushing = (async () => {
        while (!isOver) await server.cli('SCRIPT', 'FLUSH')
      })()
      const tasks = factories.flatMap((factory) =>
        Array.from({ length: 10 }, async (_, index) => {
          for (let round = 0; round < 10; round++) {
            const lock = factory.createLock(`key ${index % 3}`, 60_000)
            await lock.acquire({ retry: NO_POLL })
            await lock.extend(60_000)
            await lock.release()
            done++
          }
        })
      )
      await Promise.all(tasks)
      isOver = true
      await flushing
      assert.equal(done, 200)
      assert.equal(await server.cli('KEYS', '*'), '')
    })
  })

  test('C22: all connections are killed while fifty acquires wait', async ({ assert }) => {
    await withServer({}, async (server) => {
      const factories = ['one', 'two'].map((connectionName) =>
        openFactory(server, { connectionName })
      )
      const holder = factories[0].createLock('k', 60_000)
      await holder.acquire()
      let inside = 0
      let most = 0
      const waits = Array.from({ length: 50 }, (_, index) =>
        factories[index % 2].createLock('k', 60_000).run(
          async () => {
            most = Math.max(most, ++inside)
            await sleep(1)
            inside--
          },
          { retry: NO_POLL }
        )
      )
      await sleep(50)
      for (let round = 0; round < 3; round++) {
        await server.cli('CLIENT', 'KILL', 'TYPE', 'normal')
        await server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
        await sleep(30)
      }
      await holder.release()
      assert.deepEqual(await Promise.all(waits), Array(50).fill([true, undefined]))
      assert.equal(most, 1)
      assert.equal(await server.cli('KEYS', '*'), '')
    })
  })

  test('C1, C22: connections are killed all the time, and no two are inside at once', async ({
    assert,
  }) => {
    await withServer({}, async (server) => {
      const factories = ['one', 'two'].map((connectionName) =>
        openFactory(server, { connectionName, commandTimeout: 10_000 })
      )
      let [inside, most, done] = [0, 0, 0]
      let isOver = false
      const killing = (async () => {
        while (!isOver) {
          await server.cli('CLIENT', 'KILL', 'TYPE', 'normal')
          await sleep(5)
          await server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
          await sleep(5)
        }
      })()
      const tasks = factories.flatMap((factory) =>
        Array.from({ length: 10 }, async () => {
          for (let round = 0; round < 10; round++) {
            const [isDone] = await factory.createLock('k', 60_000).run(
              async () => {
                most = Math.max(most, ++inside)
                await sleep(1)
                inside--
              },
              { retry: { delay: 5000 } }
            )
            if (isDone) done++
          }
        })
      )
      await Promise.all(tasks)
      isOver = true
      await killing
      assert.deepEqual([most, done], [1, 200])
      assert.equal(await server.cli('KEYS', '*'), '')
    })
  })

  test('C22: everything is flushed: who waits is granted, who held is told', async ({ assert }) => {
    await withServer({}, async (server) => {
      const factories = ['one', 'two'].map((connectionName) =>
        openFactory(server, { connectionName })
      )
      const holder = factories[0].createLock('k', 60_000)
      await holder.acquire()
      const waits = factories.map((factory) =>
        factory.createLock('k', 60_000).run(() => 'done', { retry: { delay: 100 } })
      )
      await sleep(50)
      await server.cli('FLUSHALL')
      assert.deepEqual(await Promise.all(waits), [
        [true, 'done'],
        [true, 'done'],
      ])
      const error = await rejectionOf(holder.release())
      assert.equal(error.code, 'E_LOCK_NOT_OWNED')
    })
  })
})
