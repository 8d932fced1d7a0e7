/**
 * Fencing tokens of a server that forgets.
 */
import { test } from '@japa/runner'
import { RedisStore } from 'loquet/drivers/redis'

import { openFactory, withServer } from './outage.js'

test.group('fencing | Redis', () => {
  test('tokens grow over a restart without persistence', async ({ assert }) => {
    await withServer({}, async (server) => {
      const lock = openFactory(server, { connectionName: 'fenced' }).createLock('k', 60_000, {
        fencing: true,
      })
      let last = 0n
      for (let round = 0; round < 3; round++) {
        assert.isTrue(await lock.acquire({ retry: { timeout: 10_000 } }))
        assert.isTrue(lock.fencingToken! > last, `${lock.fencingToken} after ${last}`)
        last = lock.fencingToken!
        await server.kill()
        await server.restart()
        assert.equal(await server.cli('DBSIZE'), '0')
      }
    })
  })

  test('what the store says counts unless the lock says otherwise; it is true or false', async ({
    assert,
  }) => {
    await withServer({}, async ({ url }) => {
      assert.isFalse(new RedisStore({ url }).fencing)
      assert.isTrue(new RedisStore({ url, fencing: true }).fencing)
      for (const fencing of ['yes', 1, null]) {
        const create = () => new RedisStore({ url, fencing: fencing as never })
        assert.throws(create, /"fencing".*true or false/)
      }
    })
  })
})
