import { test } from '@japa/runner'
import locks from '@adonisjs/lock/services/main'
import queue from '#services/queue'
import { HeldGateway } from '#tests/held_gateway'
import { ACCEPTED, order, PROCESSED, TOLD_SO } from '#tests/requests'

const ROUTE = '/orders/background'

test.group('POST /orders/background', () => {
  test('hands the lock to a job, which releases it', async ({ client, assert, test: self }) => {
    const gateway = HeldGateway.use(self)

    assert.deepEqual(await order(client, ROUTE, 'a'), ACCEPTED)
    await gateway.begun(1)
    assert.isTrue(await locks.createLock('order.processing.a').isLocked())
    assert.deepEqual(await order(client, '/orders/manual', 'a'), TOLD_SO)

    gateway.settle('a')
    await queue.settled()
    assert.isFalse(await locks.createLock('order.processing.a').isLocked())

    const next = order(client, '/orders/manual', 'a')
    await gateway.begun(2)
    gateway.settle('a')
    assert.deepEqual(await next, PROCESSED)
  })

  test('lets racing requests for one order wait for their turn', async (context) => {
    const { client, assert, test: self } = context
    const gateway = HeldGateway.use(self)
    const answers = Array.from({ length: 5 }, () => order(client, ROUTE, 'a'))

    /**
     * The gateway refuses a second charge while one is under way, so five charges are five turns.
     */
    for (let turn = 1; turn <= answers.length; turn++) {
      await gateway.begun(turn)
      assert.lengthOf(gateway.charged, turn)
      gateway.settle('a')
    }

    assert.deepEqual(await Promise.all(answers), Array(5).fill(ACCEPTED))
    await queue.settled()
    assert.isFalse(await locks.createLock('order.processing.a').isLocked())
  })

  test('releases the lock when the job fails', async ({ client, assert, test: self }) => {
    const gateway = HeldGateway.use(self)

    assert.deepEqual(await order(client, ROUTE, 'a'), ACCEPTED)
    await gateway.begun(1)
    gateway.fail('a')
    await queue.settled()
    assert.isFalse(await locks.createLock('order.processing.a').isLocked())
  })
})
