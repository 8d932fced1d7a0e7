import { test } from '@japa/runner'
import locks from '@adonisjs/lock/services/main'
import { HeldGateway } from '#tests/held_gateway'
import { order, PROCESSED, Race, TOLD_SO } from '#tests/requests'

const BURST = 25

for (const route of ['/orders/manual', '/orders/automatic']) {
  test.group(`POST ${route}`, () => {
    test('processes an order', async ({ client, assert }) => {
      assert.deepEqual(await order(client, route, 'a'), PROCESSED)
      assert.isFalse(await locks.createLock('order.processing.a').isLocked())
    })

    test('processes an order again once it is done', async ({ client, assert }) => {
      assert.deepEqual(await order(client, route, 'a'), PROCESSED)
      assert.deepEqual(await order(client, route, 'a'), PROCESSED)
    })

    test('processes exactly one of a burst and tells the others so', async (context) => {
      const { client, assert, test: self } = context
      const gateway = HeldGateway.use(self)
      const race = new Race(Array.from({ length: BURST }, () => order(client, route, 'a')))

      assert.deepEqual(await race.first(BURST - 1), Array(BURST - 1).fill(TOLD_SO))
      assert.deepEqual(gateway.charged, ['a'])
      assert.isTrue(await locks.createLock('order.processing.a').isLocked())

      gateway.settle('a')
      await race.all()
      assert.deepEqual(race.results.at(-1), PROCESSED)
      assert.isFalse(await locks.createLock('order.processing.a').isLocked())
    })

    test('keeps bursts for different orders apart', async ({ client, assert, test: self }) => {
      const gateway = HeldGateway.use(self)
      const ids = ['a', 'b', 'c', 'd']
      const races = ids.map(
        (id) => new Race(Array.from({ length: BURST }, () => order(client, route, id)))
      )

      for (const race of races) {
        assert.deepEqual(await race.first(BURST - 1), Array(BURST - 1).fill(TOLD_SO))
      }
      assert.sameMembers(gateway.charged, ids)

      /**
       * They end in an order of their own, none waits for another one.
       */
      for (const index of [2, 0, 3, 1]) {
        gateway.settle(ids[index])
        await races[index].all()
        assert.deepEqual(races[index].results.at(-1), PROCESSED)
      }
      assert.lengthOf(gateway.charged, ids.length)
    })

    test('releases the lock of an order that fails', async ({ client, assert, test: self }) => {
      const gateway = HeldGateway.use(self)
      const race = new Race(Array.from({ length: BURST }, () => order(client, route, 'a')))
      await race.first(BURST - 1)

      gateway.fail('a')
      await race.all()
      assert.equal(race.results.at(-1)?.status, 500)
      assert.isFalse(await locks.createLock('order.processing.a').isLocked())

      const retry = order(client, route, 'a')
      await gateway.begun(2)
      gateway.settle('a')
      assert.deepEqual(await retry, PROCESSED)
    })
  })
}

test.group('Both routes', () => {
  test('exclude each other', async ({ client, assert, test: self }) => {
    const gateway = HeldGateway.use(self)
    const race = new Race(
      Array.from({ length: BURST }, (_, index) =>
        order(client, index % 2 === 0 ? '/orders/manual' : '/orders/automatic', 'a')
      )
    )

    assert.deepEqual(await race.first(BURST - 1), Array(BURST - 1).fill(TOLD_SO))
    gateway.settle('a')
    await race.all()
    assert.deepEqual(race.results.at(-1), PROCESSED)
    assert.deepEqual(gateway.charged, ['a'])
  })
})
