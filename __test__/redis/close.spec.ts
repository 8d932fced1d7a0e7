/**
 * `verrou.close()` on a store with a connection of its own.
 */
import { test } from '@japa/runner'
import { Verrou } from 'loquet'
import { redisStore } from 'loquet/drivers/redis'

import { errorOf, runModule, sleep, until } from '../unit/observe.js'
import { startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

test.group('Redis | close', (group) => {
  let server: RedisServer
  group.setup(async () => {
    server = await startStandalone()
    return () => server.stop()
  })

  const createVerrou = (connectionName = 'locks') =>
    new Verrou({
      default: 'redis',
      stores: {
        redis: {
          driver: redisStore({ host: server.host, port: server.port, connectionName }),
        },
      },
    })
  const countConnections = async (name = 'locks') => {
    const list = await server.cli('CLIENT', 'LIST')
    return list.split('\n').filter((line) => line.includes(`name=${name} `)).length
  }

  test('waits end and the connection is closed, at whatever moment', async ({ assert }) => {
    for (let round = 0; round < 60; round++) {
      const verrou = createVerrou()
      const key = `moment ${round}`
      await verrou.createLock(key, null).acquire()
      const waits = [1, 2].map(() => errorOf(() => verrou.createLock(key).acquire()))
      if (round % 3 > 0) await sleep(round % 7)
      const closed = verrou.close()

      for (const { code } of await Promise.all(waits)) assert.equal(code, 'E_LOCK_CLOSED')
      await closed
      await until(async () => (await countConnections()) === 0)
    }
  })

  test('what was acquired while it was closed is freed', async ({ assert }) => {
    for (let round = 0; round < 40; round++) {
      const verrou = createVerrou()
      const key = `under way ${round}`
      if (round % 2) await verrou.createLock('warm').run(() => {})
      const acquired = verrou
        .createLock(key, null)
        .acquire()
        .then(
          () => true,
          () => false
        )
      if (round % 3 > 0) await new Promise(setImmediate)
      await verrou.close()
      // Whoever was told that it holds the lock does; nobody else does.
      const isHeld = await acquired
      await until(async () => (await server.cli('EXISTS', key)) === (isHeld ? '1' : '0'))
    }
    assert.isTrue(true)
  })

  test('a held lock can be released afterwards, and no connection stays', async ({ assert }) => {
    const verrou = createVerrou()
    const lock = verrou.createLock('held')
    await lock.acquire()
    await Promise.all([verrou.close(), verrou.close()])
    await until(async () => (await countConnections()) === 0)

    const refused = await errorOf(() => verrou.createLock('held').acquire())
    assert.equal(refused.code, 'E_LOCK_CLOSED')
    await lock.extend('1m')
    await lock.release()
    assert.equal(await server.cli('EXISTS', 'held'), '0')
    await until(async () => (await countConnections()) === 0)
  })

  test('a lock that is extended is released over the connection that it was extended over', async ({
    assert,
  }) => {
    const verrou = createVerrou()
    const lock = verrou.createLock('extended', '1m')
    await lock.acquire({ autoExtend: true })
    await verrou.close()
    assert.isAbove(await countConnections(), 0, 'the lock is still extended')

    // Whoever asks for it makes one, too.
    const connectionsMade = async () =>
      Number(/total_connections_received:(\d+)/.exec(await server.cli('INFO', 'stats'))![1])
    const asking = -(await connectionsMade()) + (await connectionsMade())
    const before = await connectionsMade()
    await lock.release()
    assert.equal((await connectionsMade()) - before, asking)
    assert.equal(await server.cli('EXISTS', 'extended'), '0')
    await until(async () => (await countConnections()) === 0)
  })

  test('a connection that others use stays', async ({ assert }) => {
    const [one, other] = [createVerrou('shared'), createVerrou('shared')]
    await one.createLock('one').acquire()
    const lock = other.createLock('two')
    await lock.acquire()
    assert.equal(await countConnections('shared'), 1)
    await one.close()

    assert.equal(await countConnections('shared'), 1)
    await lock.release()
    await other.close()
    await until(async () => (await countConnections('shared')) === 0)
  })

  test('what is granted while everything is released is released as well, or was granted in time', async ({
    assert,
  }) => {
    for (let round = 0; round < 40; round++) {
      const [verrou, elsewhere] = [createVerrou('here'), createVerrou('there')]
      const key = `granted ${round}`
      const holder = elsewhere.createLock(key, null)
      await holder.acquire()
      const autoExtend = round % 2 === 0
      const ended = verrou
        .createLock(key, autoExtend ? 60_000 : null)
        .acquire({ autoExtend })
        .then(String, ({ code }) => code)
      await until(() => verrou.use().stats().waiters === 1)
      const releasing = holder.release()
      if (round % 3 > 0) await sleep(round % 5)
      await verrou.close({ release: true })
      await releasing
      assert.include(['true', 'E_LOCK_CLOSED'], await ended)
      assert.equal(await server.cli('EXISTS', key), '0')
      await elsewhere.close()
      await until(async () => (await countConnections('here')) === 0)
    }
  })

  test('a server that does not answer holds nobody up for longer than the timeout', async ({
    assert,
  }) => {
    const silent = await startStandalone()
    const verrou = new Verrou({
      default: 'redis',
      stores: { redis: { driver: redisStore({ port: silent.port }) } },
    })
    await verrou.createLock('key').acquire()
    silent.pause()
    const start = performance.now()
    await verrou.close({ release: true, timeout: 300 })
    const took = performance.now() - start
    await silent.stop()
    assert.isAtLeast(took, 299)
    // Its commands may take 5 seconds.
    assert.isBelow(took, 3000)
  })

  test('C12: once the time is over, a server that does not answer keeps no process alive')
    .with([{ release: true, timeout: 300 }, { timeout: 300 }])
    .run(async ({ assert }, options) => {
      const silent = await startStandalone()
      // With a waiter the release may be asked for twice, the second time shortly before the connection is closed.
      const { code, stdout, stderr } = await runModule(`
        import { Verrou } from 'loquet'
        import { redisStore } from 'loquet/drivers/redis'

        const driver = redisStore({ port: ${silent.port}, commandTimeout: 30_000 })
        const verrou = new Verrou({ default: 'redis', stores: { redis: { driver } } })
        await verrou.createLock('key').acquire()
        process.kill(${silent.pid}, 'SIGSTOP')
        verrou.createLock('other').acquire().catch(({ code }) => console.log(code))
        const start = performance.now()
        await verrou.close(${JSON.stringify(options)})
        process.on('exit', () => {
          const took = performance.now() - start
          console.log(took < 15_000 ? 'ended' : took)
        })
      `)
      await silent.stop()
      assert.deepEqual([code, stdout, stderr], [0, 'E_LOCK_CLOSED\nended\n', ''])
    })

  test('a server that is gone holds nobody up', async ({ assert }) => {
    const gone = await startStandalone()
    const verrou = new Verrou({
      default: 'redis',
      stores: { redis: { driver: redisStore({ port: gone.port, commandTimeout: 300 }) } },
    })
    await verrou.createLock('key').acquire()
    await gone.stop()
    await verrou.close()

    const again = await errorOf(() => verrou.createLock('key').acquire())
    assert.equal(again.code, 'E_LOCK_CLOSED')
  })
})
