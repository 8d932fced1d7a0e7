import { test } from '@japa/runner'
import redis from '@adonisjs/redis/services/main'
import { Fleet } from '#tests/fleet'
import { ACCEPTED, REFUSED } from '#tests/requests'
import { testsOfFleet, unlock } from '#tests/shared_locks'

test.group('Two servers and a job process, with locks in Redis', (group) => {
  const fleet = new Fleet({
    name: 'redis',
    hasJobProcesses: true,
    clear: () => redis.flushdb(),
    async expireIn(key, time) {
      const remaining = await redis.pttl(key)
      await redis.pexpire(key, time)
      return remaining
    },
  })
  fleet.serve(group)
  testsOfFleet(fleet)

  test('keep an order locked until there is a job process', async ({ assert }) => {
    await fleet.noWorker()
    assert.deepEqual(await fleet.order(0, '/orders/queued', 'a'), ACCEPTED)
    assert.deepEqual(await fleet.order(1, '/orders/queued', 'a'), REFUSED)
    assert.isEmpty(fleet.gateway.charged)

    await fleet.worker()
    await fleet.gateway.begun(1)
    fleet.gateway.settle('a')
    await fleet.freed('a')
  })

  test('end a job that is under way before the job process ends', async ({ assert }) => {
    await fleet.worker()
    assert.deepEqual(await fleet.order(0, '/orders/queued', 'a'), ACCEPTED)
    await fleet.gateway.begun(1)

    const ended = fleet.endWorker()
    assert.deepEqual(await fleet.order(1, '/orders/queued', 'a'), REFUSED)
    fleet.gateway.settle('a')
    assert.equal(await ended, 0)
    assert.isFalse(await fleet.lockOf('a').isLocked())
  })

  test('keep an order locked for its job when the server that has taken it ends', async ({
    assert,
  }) => {
    const worker = await fleet.worker()
    assert.deepEqual(await fleet.order(0, '/orders/queued', 'a'), ACCEPTED)
    await fleet.gateway.begun(1)
    assert.equal(await fleet.endServer(), 0)
    assert.deepEqual(await fleet.order(1, '/orders/queued', 'a'), REFUSED)
    fleet.gateway.settle('a')
    await fleet.freed('a')
    assert.notInclude(worker!.output, 'job failed')
  })

  test('process nothing in a job whose lock was freed by force', async ({ assert }) => {
    await fleet.noWorker()
    assert.deepEqual(await fleet.order(0, '/orders/queued', 'late'), ACCEPTED)
    await unlock(fleet, 'late')
    assert.isFalse(await fleet.lockOf('late').isLocked())

    assert.deepEqual(await fleet.order(0, '/orders/queued', 'a'), ACCEPTED)
    await fleet.worker()
    await fleet.gateway.begun(1)
    assert.deepEqual(fleet.gateway.charged, ['a'])
    fleet.gateway.settle('a')
    await fleet.freed('a')
  })

  test('have connections of their own for their locks', async ({ assert }) => {
    for (const server of fleet.servers) assert.notInclude(server.output, 'own ioredis connection')
  })
})
