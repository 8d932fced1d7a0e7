import { test } from '@japa/runner'
import app from '@adonisjs/core/services/app'
import { stores } from '@adonisjs/lock'
import locks from '@adonisjs/lock/services/main'
import type { StoreFactory } from '@adonisjs/lock/types'
import redis from '@adonisjs/redis/services/main'

test.group('The redis store', (group) => {
  group.each.teardown(async () => {
    await redis.flushdb()
  })

  test('is there beside the default store', async ({ assert }) => {
    const lock = locks.use('redis').createLock('order.processing.1')

    assert.isTrue(await lock.acquireImmediately())
    assert.isFalse(await locks.use('redis').createLock('order.processing.1').acquireImmediately())
    assert.isFalse(await locks.createLock('order.processing.1').isLocked())
    await lock.release()
    assert.isFalse(await lock.isLocked())
  })

  test('keeps a lock under its key in the connection that is named', async ({ assert }) => {
    const lock = locks.use('redis').createLock('order.processing.1', '10s')
    await lock.acquire()

    assert.equal(await redis.connection('main').get('order.processing.1'), lock.getOwner())
    const remaining = await redis.connection('main').pttl('order.processing.1')
    assert.isTrue(remaining > 0 && remaining <= 10_000, `${remaining} ms`)
    await lock.release()
  })

  test('takes the default connection unless one is named', async ({ assert }) => {
    const { driver }: StoreFactory = await stores.redis({}).resolver(app)
    const store = driver.factory()

    const lock = locks.use('redis').createLock('order.processing.1')
    assert.isTrue(await store.save('order.processing.1', 'somebody else', 10_000))
    assert.isFalse(await lock.acquireImmediately())
    await store.delete('order.processing.1', 'somebody else')
    assert.isTrue(await lock.acquireImmediately())
    await lock.release()
  })

  test('needs a connection that config/redis.ts defines', async ({ assert }) => {
    await assert.rejects(
      () => stores.redis({ connectionName: 'orders' }).resolver(app),
      'Unknown redis connection "orders" of a lock store. Known connections are: main, queue'
    )
  })
})
