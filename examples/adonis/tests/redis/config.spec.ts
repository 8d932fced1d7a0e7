import { test } from '@japa/runner'
import app from '@adonisjs/core/services/app'
import { stores } from '@adonisjs/lock'
import locks from '@adonisjs/lock/services/main'
import redis from '@adonisjs/redis/services/main'
import { testsOfStore } from '#tests/shared_locks'

test.group('The redis store', (group) => {
  group.each.teardown(async () => {
    await redis.flushdb()
  })

  /**
   * The default connection.
   */
  testsOfStore('redis', stores.redis({}))

  test('keeps a lock under its key in the connection that is named', async ({ assert }) => {
    const lock = locks.use('redis').createLock('order.processing.1', '10s')
    await lock.acquire()

    assert.equal(await redis.connection('main').get('order.processing.1'), lock.getOwner())
    const remaining = await redis.connection('main').pttl('order.processing.1')
    assert.isTrue(remaining > 0 && remaining <= 10_000, `${remaining} ms`)
    await lock.release()
  })

  test('needs a connection that config/redis.ts defines', async ({ assert }) => {
    await assert.rejects(
      () => stores.redis({ connectionName: 'orders' }).resolver(app),
      'Unknown redis connection "orders" of a lock store. Known connections are: main, queue'
    )
  })
})
