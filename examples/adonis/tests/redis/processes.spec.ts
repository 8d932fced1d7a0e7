import { test } from '@japa/runner'
import ace from '@adonisjs/core/services/ace'
import locks from '@adonisjs/lock/services/main'
import redis from '@adonisjs/redis/services/main'
import OrderUnlock from '#commands/order_unlock'
import type { HeldGateway } from '#tests/held_gateway'
import { PaymentService } from '#tests/payment_service'
import { JobProcess, WebProcess } from '#tests/processes'
import { ACCEPTED, orderAt, PROCESSED, Race, REFUSED, TOLD_SO } from '#tests/requests'

const TTL = 30_000
const BURST = 40

function lockOf(orderId: string) {
  return locks.use('redis').createLock(`order.processing.${orderId}`)
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

test.group('Two servers and a job process', (group) => {
  let payments: PaymentService
  let gateway: HeldGateway
  let servers: WebProcess[]
  let worker: JobProcess | undefined

  /**
   * Where to ask for orders: at the servers, by turns.
   */
  const at = (index: number) => servers[index % servers.length].url

  /**
   * The job process. Starting one takes a while, so that it is kept for the tests to come.
   */
  async function jobProcess() {
    worker ??= await JobProcess.start({ PAYMENT_URL: payments.url })
    return worker
  }

  async function noJobProcess() {
    await worker?.kill()
    worker = undefined
  }

  group.setup(async () => {
    payments = await PaymentService.start()
    const env = { PAYMENT_URL: payments.url }
    servers = await Promise.all([WebProcess.start(env), WebProcess.start(env)])
    return async () => {
      await noJobProcess()
      await Promise.all(servers.map((server) => server.terminate()))
      await payments.stop()
    }
  })

  group.each.setup(() => {
    gateway = payments.renew()
    return async (hasError: boolean) => {
      if (hasError) await noJobProcess()
      gateway.settleAll()
      await redis.flushdb()
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
    await noJobProcess()
    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'a'), ACCEPTED)
    assert.deepEqual(await orderAt(at(1), '/orders/queued', 'a'), REFUSED)
    assert.isEmpty(gateway.charged)

    await jobProcess()
    await gateway.begun(1)
    assert.isTrue(await lockOf('a').isLocked())
    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'a'), REFUSED)
    assert.deepEqual(await orderAt(at(1), '/orders/manual', 'a'), TOLD_SO)

    gateway.settle('a')
    await freed('a')
    assert.deepEqual(await orderAt(at(1), '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(2)
    gateway.settle('a')
    await freed('a')
  })

  test('release the lock when the job fails', async ({ assert }) => {
    await jobProcess()
    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(1)
    gateway.fail('a')
    await freed('a')
  })

  test('let requests take turns, whichever server they ask', async ({ assert }) => {
    await jobProcess()
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

  test('end a job that is under way before the job process ends', async ({ assert }) => {
    const told = await jobProcess()
    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(1)

    const ended = told.terminate()
    assert.deepEqual(await orderAt(at(1), '/orders/queued', 'a'), REFUSED)
    gateway.settle('a')
    assert.equal(await ended, 0)
    worker = undefined
    assert.isFalse(await lockOf('a').isLocked())
  })

  test('process nothing in a job whose lock was freed by force', async ({ assert }) => {
    await noJobProcess()
    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'late'), ACCEPTED)
    const command = await ace.create(OrderUnlock, ['late'])
    command.ui.switchMode('raw')
    await command.exec()
    command.assertSucceeded()
    assert.isFalse(await lockOf('late').isLocked())

    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'a'), ACCEPTED)
    await jobProcess()
    await gateway.begun(1)
    assert.deepEqual(gateway.charged, ['a'])
    gateway.settle('a')
    await freed('a')
  })

  test('free the order of a job process that was killed, by the TTL', async ({ assert }) => {
    await jobProcess()
    assert.deepEqual(await orderAt(at(0), '/orders/queued', 'a'), ACCEPTED)
    await gateway.begun(1)

    await noJobProcess()
    assert.deepEqual(await orderAt(at(1), '/orders/queued', 'a'), REFUSED)
    const remaining = await redis.pttl('order.processing.a')
    assert.isTrue(remaining > 0 && remaining <= TTL, `${remaining} ms`)

    /**
     * Nobody wants to wait here for as long as that. What is left of the lease ends by itself.
     */
    await redis.pexpire('order.processing.a', 500)
    await freed('a')
    assert.deepEqual(await orderAt(at(1), '/orders/queued', 'a'), ACCEPTED)
  })

  test('have connections of their own for their locks', async ({ assert }) => {
    for (const server of servers) assert.notInclude(server.output, 'own ioredis connection')
  })
})
