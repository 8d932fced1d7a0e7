import { test } from '@japa/runner'
import app from '@adonisjs/core/services/app'
import ace from '@adonisjs/core/services/ace'
import locks from '@adonisjs/lock/services/main'
import type { StoreFactory } from '@adonisjs/lock/types'
import OrderUnlock from '#commands/order_unlock'
import { type Fleet, type SharedStore, TTL } from '#tests/fleet'
import { ACCEPTED, type Answer, orderAt, PROCESSED, Race, REFUSED, TOLD_SO } from '#tests/requests'

const BURST = 40

/**
 * The tests of a store in this process.
 *
 * @param provider - Another config for the same locks
 */
export function testsOfStore(
  name: SharedStore['name'],
  provider: { resolver(application: typeof app): Promise<StoreFactory> }
) {
  const createLock = () => locks.use(name).createLock('order.processing.1')

  test('is there beside the default store', async ({ assert }) => {
    const lock = createLock()

    assert.isTrue(await lock.acquireImmediately())
    assert.isFalse(await createLock().acquireImmediately())
    assert.isFalse(await locks.createLock('order.processing.1').isLocked())
    await lock.release()
    assert.isFalse(await lock.isLocked())
  })

  test('has the same locks by another config', async ({ assert }) => {
    const { driver } = await provider.resolver(app)
    const store = driver.factory()

    const lock = createLock()
    assert.isTrue(await store.save('order.processing.1', 'somebody else', 10_000))
    assert.isFalse(await lock.acquireImmediately())
    await store.delete('order.processing.1', 'somebody else')
    assert.isTrue(await lock.acquireImmediately())
    await lock.release()
  })

  test('tells keys apart by case', async ({ assert }) => {
    const lock = locks.use(name).createLock('Order')
    await lock.acquire()
    assert.isTrue(await locks.use(name).createLock('order').acquireImmediately())
    await lock.release()
  })
}

/**
 * The tests of a fleet, whatever its store.
 */
export function testsOfFleet(fleet: Fleet) {
  test('process exactly one of a burst and tell the others so', async ({ assert }) => {
    const race = new Race(
      Array.from({ length: BURST }, (_, index) =>
        fleet.order(index, index % 4 < 2 ? '/orders/manual' : '/orders/automatic', 'a')
      )
    )

    assert.deepEqual(await race.first(BURST - 1), Array(BURST - 1).fill(TOLD_SO))
    await fleet.gateway.begun(1)
    assert.deepEqual(fleet.gateway.charged, ['a'])
    assert.isTrue(await fleet.lockOf('a').isLocked())

    fleet.gateway.settle('a')
    await race.all()
    assert.deepEqual(race.results.at(-1), PROCESSED)
    assert.isFalse(await fleet.lockOf('a').isLocked())
  })

  test('keep an order locked until its job is done', async ({ assert }) => {
    await fleet.worker()
    assert.deepEqual(await fleet.order(0, '/orders/queued', 'a'), ACCEPTED)
    await fleet.gateway.begun(1)
    assert.isTrue(await fleet.lockOf('a').isLocked())
    assert.deepEqual(await fleet.order(0, '/orders/queued', 'a'), REFUSED)
    assert.deepEqual(await fleet.order(1, '/orders/queued', 'a'), REFUSED)
    assert.deepEqual(await fleet.order(1, '/orders/manual', 'a'), TOLD_SO)

    fleet.gateway.settle('a')
    await fleet.freed('a')
    assert.deepEqual(await fleet.order(1, '/orders/queued', 'a'), ACCEPTED)
    await fleet.gateway.begun(2)
    fleet.gateway.settle('a')
    await fleet.freed('a')
  })

  test('release the lock when the job fails', async () => {
    await fleet.worker()
    await fleet.order(0, '/orders/queued', 'a')
    await fleet.gateway.begun(1)
    fleet.gateway.fail('a')
    await fleet.freed('a')
  })

  test('let requests take turns, whichever server they ask', async ({ assert }) => {
    await fleet.worker()
    const answers = Array.from({ length: 6 }, (_, index) =>
      fleet.order(index, '/orders/background', 'a')
    )

    for (let turn = 1; turn <= answers.length; turn++) {
      await fleet.gateway.begun(turn)
      assert.lengthOf(fleet.gateway.charged, turn)
      fleet.gateway.settle('a')
    }
    assert.deepEqual(await Promise.all(answers), Array(answers.length).fill(ACCEPTED))
    await fleet.freed('a')
  })

  test('free the order of a process that was killed, by the TTL', async ({ assert }) => {
    await fleet.worker()
    assert.deepEqual(await fleet.order(0, '/orders/queued', 'a'), ACCEPTED)
    await fleet.gateway.begun(1)
    await fleet.killWorker()
    assert.deepEqual(await fleet.order(1, '/orders/queued', 'a'), REFUSED)

    /**
     * Nobody wants to wait here for as long as the TTL. What is left of the lease ends by itself.
     */
    const remaining = await fleet.store.expireIn('order.processing.a', 500)
    assert.isTrue(remaining > 0 && remaining <= TTL + 1000, `${remaining} ms`)
    await fleet.freed('a')
  })

  test('end under load without losing an order, or leaving a lock behind', async ({ assert }) => {
    const worker = await fleet.worker()
    const [ending] = fleet.servers
    const orders = ['a', 'b', 'c', 'd', 'e']
    const routes = ['/orders/manual', '/orders/automatic', '/orders/queued']
    const ask = (index: number) => {
      const route = routes[index % routes.length]
      const order = orders[index % orders.length]
      return orderAt(ending.url, route, order).catch(() => undefined)
    }
    const load = Array.from({ length: BURST }, (_, index) => ask(index))
    await fleet.gateway.begun(orders.length)

    /**
     * Requests come in until nobody takes them any longer. The payments of those before are still under way.
     */
    const ended = fleet.endServer()
    load.push(...Array.from({ length: BURST }, (_, index) => ask(index)))
    const others = orders.map((order) => fleet.order(1, '/orders/manual', order))
    assert.deepEqual(await Promise.all(others), Array(orders.length).fill(TOLD_SO))
    const settling = setInterval(() => fleet.gateway.settleAll(), 50)
    const code = await ended
    for (const order of orders) await fleet.freed(order)
    clearInterval(settling)

    assert.equal(code, 0)
    const all = await Promise.all(load)
    const answers = all.filter((answer) => answer !== undefined)
    const count = (wanted: Answer) => {
      return answers.filter(({ status, text }) => status === wanted.status && text === wanted.text)
        .length
    }
    const done = count(PROCESSED) + count(ACCEPTED)
    assert.equal(done + count(TOLD_SO) + count(REFUSED), answers.length)
    assert.isAtLeast(done, orders.length)
    assert.lengthOf(fleet.gateway.charged, done, 'each order that was taken was paid for')
    for (const { output } of worker ? [ending, worker] : [ending]) {
      assert.notInclude(output, 'job failed')
    }
    for (const order of orders) assert.isFalse(await fleet.lockOf(order).isLocked())
  })

  test('free an order by force', async ({ assert }) => {
    await fleet.lockOf('a').acquire()
    await unlock(fleet, 'a')
    assert.isFalse(await fleet.lockOf('a').isLocked())
  })
}

/**
 * Runs `node ace order:unlock`.
 */
export async function unlock(fleet: Fleet, orderId: string) {
  const command = await ace.create(OrderUnlock, [orderId, `--store=${fleet.store.name}`])
  command.ui.switchMode('raw')
  await command.exec()
  command.assertSucceeded()
}
