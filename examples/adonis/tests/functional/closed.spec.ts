import { test } from '@japa/runner'
import locks from '@adonisjs/lock/services/main'
import { HeldGateway } from '#tests/held_gateway'
import { order } from '#tests/requests'

const REFUSED = { status: 200, text: 'No orders are taken here' }

test.group('The noop store', () => {
  test('grants no lock', async ({ assert }) => {
    const lock = locks.use('noop').createLock('order.processing.a')

    assert.isFalse(await lock.acquireImmediately())
    assert.isFalse(await lock.acquire({ retry: { attempts: 3, delay: 1 } }))
    assert.isFalse(await lock.isLocked())
  })

  test('never runs the callback', async ({ assert }) => {
    const result = await locks
      .use('noop')
      .createLock('order.processing.a')
      .runImmediately(async () => assert.fail('The callback ran'))

    assert.deepEqual(result, [false, null])
  })

  test('lets POST /orders/closed process nothing', async ({ client, assert, test: self }) => {
    const gateway = HeldGateway.use(self)
    const answers = Array.from({ length: 10 }, () => order(client, '/orders/closed', 'a'))

    assert.deepEqual(await Promise.all(answers), Array(10).fill(REFUSED))
    assert.isEmpty(gateway.charged)
  })

  test('keeps away from the locks of the default store', async ({ assert }) => {
    const lock = locks.createLock('order.processing.a')
    assert.isTrue(await lock.acquireImmediately())
    assert.isFalse(await locks.use('noop').createLock('order.processing.a').isLocked())
    await lock.release()
  })
})
