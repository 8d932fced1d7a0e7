/**
 * What is counted of locks in Redis.
 */
import { test } from '@japa/runner'
import { redisStore } from 'loquet/drivers/redis'

import { registerStats } from '../contract/stats.js'
import { openFactory, withServer } from './outage.js'
import { startStandalone } from './servers.js'
import { errorOf, until } from '../unit/observe.js'

registerStats({
  title: 'Redis',
  start: () => startStandalone(),
  driver: (_, { host, port }, apart) =>
    redisStore({ host, port, connectionName: `stats ${apart}` }),
})

test.group('Redis stats | key prefixes', () => {
  test('stores that share a connection tell of the keys with their own prefix', async ({
    assert,
  }) => {
    await withServer({}, async (server) => {
      const [one, other] = ['one:', 'other:'].map((keyPrefix) => openFactory(server, { keyPrefix }))
      await one.createLock('k').acquire()
      await other.createLock('k').acquire()
      const waiting = [one, one, other].map((factory) =>
        errorOf(() => factory.createLock('k').acquire())
      )
      await until(() => one.stats().waiters === 2 && other.stats().waiters === 1)
      assert.deepEqual(one.stats().contended, [{ key: 'k', waiters: 2 }])
      assert.deepEqual(other.stats().contended, [{ key: 'k', waiters: 1 }])
      assert.deepEqual([one.stats().leases, other.stats().leases], [2, 2])
      await Promise.all([one.close(), other.close()])
      await Promise.all(waiting)
    })
  })
})
