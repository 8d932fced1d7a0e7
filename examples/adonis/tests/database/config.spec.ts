import { test } from '@japa/runner'
import app from '@adonisjs/core/services/app'
import { stores } from '@adonisjs/lock'
import locks from '@adonisjs/lock/services/main'
import db from '@adonisjs/lucid/services/db'
import { testsOfStore } from '#tests/shared_locks'

test.group('The database store', (group) => {
  group.each.teardown(async () => {
    await db.from('locks').delete()
  })

  /**
   * The default connection and its table.
   */
  testsOfStore('database', stores.database({}))

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

  test('needs a connection that config/database.ts defines', async ({ assert }) => {
    await assert.rejects(
      () => stores.database({ connectionName: 'orders' }).resolver(app),
      /Unknown database connection "orders" of a lock store/
    )
  })
})
