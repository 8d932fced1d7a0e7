/**
 * Threads that hold a lock of a shared memory store for long.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { memoryStore } from 'loquet/drivers/memory'

import { until } from '../unit/observe.js'
import { RemoteThread } from './processes.js'

/** So long that whoever depended on asking again would be noticed by the test's own time limit. */
const NO_POLL = { delay: 600_000 }

let spaces = 0

async function startThread() {
  const shared = `long threads ${++spaces}`
  const thread = await RemoteThread.start(shared)
  return { thread, factory: new LockFactory(memoryStore({ shared }).factory()) }
}

test.group('threads | long holders', () => {
  test('C25: while its event loop is blocked for several TTLs, nobody else gets the lock; longer than stall allows, somebody does', async ({
    assert,
  }) => {
    const { thread, factory } = await startThread()
    const [ttl, stall] = [100, 2000]
    const order = { key: 'k', ttl, autoExtend: { stall } }
    const { granted } = await thread.acquire('lock', order)
    assert.isTrue(granted)

    const start = performance.now()
    await thread.block(1000)
    while (performance.now() - start < 900) {
      assert.isFalse(await factory.createLock('k').acquireImmediately())
    }
    assert.isTrue(await thread.isHeld('lock'))

    const stalledAt = performance.now()
    await thread.block(6000)
    assert.isTrue(await factory.createLock('k', null).acquire({ retry: NO_POLL }))
    assert.isAbove(performance.now() - stalledAt, stall - ttl)
    assert.isFalse(await thread.isHeld('lock'))
    assert.equal(await thread.whyLost('lock'), 'stalled')
    await thread.terminate()
  })

  test('C25: that another thread has freed it by force is known within its TTL', async ({
    assert,
  }) => {
    const { thread, factory } = await startThread()
    await thread.acquire('lock', { key: 'k', ttl: 1000, autoExtend: { stall: null } })
    await factory.createLock('k').forceRelease()
    const start = performance.now()
    await until(async () => !(await thread.isHeld('lock')))
    assert.isBelow(performance.now() - start, 5000)
    assert.equal(await thread.whyLost('lock'), 'not_owned')
    await thread.terminate()
  })

  test('C23, C25: a lease that is extended ends with its thread', async ({ assert }) => {
    const { thread, factory } = await startThread()
    await thread.acquire('kept', { key: 'kept', ttl: 60_000, autoExtend: true })
    await thread.acquire('left', { key: 'left', ttl: 60_000 })
    const waiting = factory.createLock('kept').acquire({ retry: NO_POLL })
    await thread.terminate()
    assert.isTrue(await waiting)
    // One that isn't lasts for its TTL.
    assert.isFalse(await factory.createLock('left').acquireImmediately())
  })
})
