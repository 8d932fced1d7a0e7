import { test } from '@japa/runner'
import ace from '@adonisjs/core/services/ace'
import locks from '@adonisjs/lock/services/main'
import db from '@adonisjs/lucid/services/db'
import OrderUnlock from '#commands/order_unlock'
import type { HeldGateway } from '#tests/held_gateway'
import { PaymentService } from '#tests/payment_service'
import { WebProcess } from '#tests/processes'
import { ACCEPTED, orderAt, PROCESSED, Race, REFUSED, TOLD_SO } from '#tests/requests'

const TTL = 30_000
const BURST = 40

function lockOf(orderId: string) {
  return locks.use('database').createLock(`order.processing.${orderId}`)
}

/**
 * Resolves when the order is free. Rejects long before a TTL could have freed it.
 */
async function freed(orderId: string) {
  const lock = lockOf(orderId)
  if (!(await lock.acquire({ retry: { timeout: TTL / 2 } }))) {
    throw new Error(`Order "${orderId}" isn't released`)
  }
  await lock.release()
}

test.group('Two servers with locks in a database', (group) => {
  let payments: PaymentService
  let gateway: HeldGateway
  let servers: WebProcess[]

  /**
   * Where to ask for orders: at the servers, by turns.
   */
  const at = (index: number) => servers[index % servers.length].url

  const startServer = () => WebProcess.start({ LOCK_STORE: 'database', PAYMENT_URL: payments.url })

  group.setup(async () => {
    payments = await PaymentService.start()
    servers = await Promise.all([startServer(), startServer()])
    return async () => {
      await Promise.all(servers.map((server) => server.terminate()))
      await payments.stop()
    }
  })

  group.each.setup(() => {
    gateway = payments.renew()
    return async () => {
      gateway.settleAll()
      await db.from('locks').delete()
    }
  })

  test('process exactly one of a burst and tell the others so', async ({ assert }) => {
    const race = new Race(
      Array.from({ length: BURST }, (_, index) =>
        orderAt(at(index), index % 4 < 2 ? '/orders/manual' : '/orders/automatic', 'a')
      )
    )

    assert.deepEqual(await race.first(BURST - 1), Array(BURST - 1).fill(TOLD_SO))
    await gateway.begun(1)
    assert.deepEqual(gateway.charged, ['a'])
    assert.isTrue(await lockOf('a').isLocked())

    gateway.settle('a')
    await race.all()
    assert.deepEqual(race.results.at(-1), PROCESSED)
    assert.isFalse(await lockOf('a').isLocked())
  })

  test('keep an order locked until its job is done', async ({ assert }) => {
    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(1)
    assert.deepEqual(await orderAt(at(1), '/orders/queued', 'a'), REFUSED)
    assert.deepEqual(await orderAt(at(1), '/orders/manual', 'a'), TOLD_SO)

    gateway.settle('a')
    await freed('a')
    assert.deepEqual(await orderAt(at(1), '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(2)
    gateway.settle('a')
    await freed('a')
  })

  test('let requests take turns, whichever server they ask', async ({ assert }) => {
    const answers = Array.from({ length: 6 }, (_, index) =>
      orderAt(at(index), '/orders/background', 'a')
    )
    for (let turn = 1; turn <= answers.length; turn++) {
      await gateway.begun(turn)
      assert.lengthOf(gateway.charged, turn)
      gateway.settle('a')
    }
    assert.deepEqual(await Promise.all(answers), Array(answers.length).fill(ACCEPTED))
    await freed('a')
  })

  test('free the order of a server that was killed, by the TTL', async ({ assert }) => {
    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(1)
    await servers[0].kill()
    assert.deepEqual(await orderAt(at(1), '/orders/queued', 'a'), REFUSED)

    /**
     * Nobody wants to wait here for as long as the TTL. What is left of the lease ends by itself.
     */
    const row = db.from('locks').where('key', 'order.processing.a')
    await row.update({ expiration: Date.now() + 500 })
    await freed('a')
    servers[0] = await startServer()
  })

  test('free an order by force', async ({ assert }) => {
    await lockOf('a').acquire()
    const command = await ace.create(OrderUnlock, ['a', '--store=database'])
    command.ui.switchMode('raw')
    await command.exec()
    command.assertSucceeded()
    assert.isFalse(await lockOf('a').isLocked())
  })

  test('have connections of their own for their locks', async ({ assert }) => {
    for (const server of servers) assert.notInclude(server.output, 'own knex')
  })
})
