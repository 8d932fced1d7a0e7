/**
 * C22 on DynamoDB: a server that is down, paused, restarted.
 */
import { test } from '@japa/runner'
import { LockFactory, Verrou } from 'loquet'
import { dynamodbStore } from 'loquet/drivers/dynamodb'

import {
  assertAllFail,
  assertStorageError,
  assertUsable,
  COMMAND_TIMEOUT,
  giveBack,
  insist,
} from '../contract/outage.js'
import { isPending, runModule, sleep, until } from '../unit/observe.js'
import { ACCOUNT, leasesOf, startRunning, storeOf } from './tables.js'
import type { Running } from './tables.js'

const NAME = 'locks'

async function withServer(run: (running: Running) => Promise<void>): Promise<void> {
  const running = await startRunning()
  try {
    await run(running)
  } finally {
    await running.stop()
  }
}

function factoryFor(running: Running, commandTimeout?: number): LockFactory {
  return new LockFactory(storeOf(running, { name: NAME, commandTimeout }))
}

async function hasNoLeases({ client }: Running): Promise<boolean> {
  const found = await leasesOf(client, NAME)
  return found.length === 0
}

test.group('DynamoDB | outages', () => {
  test('C22: down at boot: calls end in time, no acquire succeeds, it is used once it is there', async ({
    assert,
  }) => {
    await withServer(async (running) => {
      const { server, client } = running
      await server.kill()
      const { factory } = dynamodbStore({
        connection: client,
        table: { name: NAME },
        commandTimeout: COMMAND_TIMEOUT,
      })
      const verrou = new Verrou({ default: 'one', stores: { one: { driver: { factory } } } })
      await assertAllFail(assert, verrou.use('one'))
      await server.restart()
      await assertUsable(assert, verrou.use('one'))
      await verrou.close()
    })
  })

  test('C22: who waits for the same key ends in time too, however many they are', async ({
    assert,
  }) => {
    await withServer(async (running) => {
      const factory = factoryFor(running, COMMAND_TIMEOUT)
      await until(() =>
        factory
          .createLock('k')
          .acquireImmediately()
          .catch(() => false)
      )
      await insist(() => factory.createLock('k').forceRelease())
      await running.server.kill()
      const waits = Array.from({ length: 50 }, () =>
        assertStorageError(assert, () => factory.createLock('k').acquire())
      )
      await Promise.all(waits)
      await running.server.restart()
      await assertUsable(assert, factory)
    })
  })

  test('C22: an acquire that is asked for while it is down is granted if it comes back in time', async ({
    assert,
  }) => {
    await withServer(async (running) => {
      const factory = factoryFor(running, 20_000)
      await running.server.kill()
      const lock = factory.createLock('key')
      const acquiring = lock.acquire()
      assert.isTrue(await isPending(acquiring))
      await running.server.restart()
      assert.isTrue(await acquiring)
      await lock.release()
    })
  })

  test('C22: paused for longer than the timeouts: calls end in time, afterwards nothing is left', async ({
    assert,
  }) => {
    await withServer(async (running) => {
      const factory = factoryFor(running, COMMAND_TIMEOUT)
      const held = factory.createLock('held', 60_000)
      // Making the table may take longer.
      await until(() => held.acquire().catch(() => false))
      running.server.pause()
      await assertAllFail(assert, factory)
      running.server.resume()
      await assertUsable(assert, factory)
      await giveBack(assert, held)
      // What was asked for may have been done long after its call had ended.
      await until(() => hasNoLeases(running))
      await sleep(300)
      assert.isTrue(await hasNoLeases(running))
    })
  })

  test('C12: an idle store and a refused acquire keep no process alive, a waiting one does', async ({
    assert,
  }) => {
    await withServer(async (running) => {
      const store = storeOf(running, { name: NAME })
      await store.save('held', 'other', 1_500)
      const { code, stdout, stderr } = await runModule(`
        import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
        import { LockFactory } from 'loquet'
        import { DynamoDBStore } from 'loquet/drivers/dynamodb'
        process.removeAllListeners('warning')
        const connection = new DynamoDBClient(${JSON.stringify({ ...ACCOUNT, endpoint: running.server.endpoint })})
        const factory = new LockFactory(new DynamoDBStore({ connection, table: { name: '${NAME}' } }))
        console.log(await factory.createLock('held').acquireImmediately())
        console.log(await factory.createLock('held', 1000).acquire({ retry: { delay: 50 } }))
      `)
      assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'false\ntrue\n', stderr: '' })
    })
  })
})
