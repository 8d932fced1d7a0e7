import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { test } from '@japa/runner'
import { stores } from '@adonisjs/lock'
import locks from '@adonisjs/lock/services/main'
import { DynamodbTable } from '#tests/dynamodb_table'
import { testsOfStore } from '#tests/shared_locks'

test.group('The dynamodb store', (group) => {
  const table = new DynamodbTable()
  const client = new DynamoDBClient({})

  group.each.teardown(() => table.clear())
  group.teardown(() => {
    table.close()
    client.destroy()
  })

  /**
   * Another client.
   */
  testsOfStore('dynamodb', stores.dynamodb({ connection: client, table: { name: 'locks' } }))

  test('keeps a lock in an item of the table that it has made', async ({ assert }) => {
    const lock = locks.use('dynamodb').createLock('order.processing.1', '10s')
    await lock.acquire()

    const item = await table.find('order.processing.1')
    assert.equal(item!.owner, lock.getOwner())
    const remaining = item!.expiresAt - Date.now()
    assert.isTrue(remaining > 0 && remaining <= 10_000, `${remaining} ms`)

    await lock.release()
    assert.isUndefined(await table.find('order.processing.1'))
  })
})
