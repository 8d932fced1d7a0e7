import { test } from '@japa/runner'
import app from '@adonisjs/core/services/app'
import { stores } from '@adonisjs/lock'
import locks from '@adonisjs/lock/services/main'
import type { StoreFactory } from '@adonisjs/lock/types'
import db from '@adonisjs/lucid/services/db'

test.group('The database store', (group) => {
  group.each.teardown(async () => {
    await db.from('locks').delete()
  })

  test('is there beside the default store', async ({ assert }) => {
    const lock = locks.use('database').createLock('order.processing.1')

    assert.isTrue(await lock.acquireImmediately())
    assert.isFalse(
      await locks.use('database').createLock('order.processing.1').acquireImmediately()
    )
    assert.isFalse(await locks.createLock('order.processing.1').isLocked())
    await lock.release()
    assert.isFalse(await lock.isLocked())
  })

  test('keeps a lock in a row of the table that the migration has made', async ({ assert }) => {
    const lock = locks.use('database').createLock('order.processing.1', '10s')
    await lock.acquire()

    const row = await db.from('locks').where('key', 'order.processing.1').firstOrFail()
    assert.equal(row.owner, lock.getOwner())
    const remaining = Number(row.expiration) - Date.now()
    assert.isTrue(remaining > 0 && remaining <= 11_000, `${remaining} ms`)

    await lock.release()
    assert.isNull(await db.from('locks').where('key', 'order.processing.1').first())
  })

  test('tells keys apart by case', async ({ assert }) => {
    const lock = locks.use('database').createLock('Order')
    await lock.acquire()
    assert.isTrue(await locks.use('database').createLock('order').acquireImmediately())
    await lock.release()
  })

  test('takes the default connection and its table unless others are named', async ({ assert }) => {
    const { driver }: StoreFactory = await stores.database({}).resolver(app)
    const store = driver.factory()

    const lock = locks.use('database').createLock('order.processing.1')
    assert.isTrue(await store.save('order.processing.1', 'somebody else', 10_000))
    assert.isFalse(await lock.acquireImmediately())
    await store.delete('order.processing.1', 'somebody else')
    assert.isTrue(await lock.acquireImmediately())
    await lock.release()
  })

  test('needs a connection that config/database.ts defines', async ({ assert }) => {
    await assert.rejects(
      () => stores.database({ connectionName: 'orders' }).resolver(app),
      /Unknown database connection "orders" of a lock store/
    )
  })
})
