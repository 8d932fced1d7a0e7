import { test } from '@japa/runner'
import ace from '@adonisjs/core/services/ace'
import locks from '@adonisjs/lock/services/main'
import QueueWork from '#commands/queue_work'
import queue from '#services/queue'
import { HeldGateway } from '#tests/held_gateway'
import { ACCEPTED, order, REFUSED, TOLD_SO } from '#tests/requests'

test.group('POST /orders/queued', () => {
  test('refuses an order whose job is under way', async ({ client, assert, test: self }) => {
    const gateway = HeldGateway.use(self)

    assert.deepEqual(await order(client, '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(1)
    assert.deepEqual(await order(client, '/orders/queued', 'a'), REFUSED)
    assert.deepEqual(await order(client, '/orders/manual', 'a'), TOLD_SO)

    gateway.settle('a')
    await queue.settled()
    assert.deepEqual(await order(client, '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(2)
    gateway.settle('a')
    await queue.settled()
  })

  test('releases the lock when there is no job', async ({ client, assert, test: self }) => {
    const dispatch = queue.dispatch
    self.cleanup(() => {
      queue.dispatch = dispatch
    })
    queue.dispatch = async () => {
      throw new Error('The queue is full')
    }

    const { status } = await order(client, '/orders/queued', 'a')
    assert.equal(status, 500)
    assert.isFalse(await locks.createLock('order.processing.a').isLocked())
  })
})

test.group('node ace queue:work', () => {
  test('says that it has nothing to do where locks are in memory', async ({ assert }) => {
    const command = await ace.create(QueueWork, [])
    command.ui.switchMode('raw')
    await command.exec()

    command.assertFailed()
    assert.match(JSON.stringify(command.ui.logger.getLogs()), /With LOCK_STORE=memory jobs run in/)
  })
})
