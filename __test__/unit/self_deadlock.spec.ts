import { setImmediate as turn } from 'node:timers/promises'
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { runModule, sleep } from './observe.js'
import { RecordingLogger } from './recording_logger.js'
import { forEachStore, SyncStore } from './stores_under_test.js'
import type { LockStore } from 'loquet/types'

const run = Math.random()
let keys = 0

/** A key that no other test has: each is named once in a process. */
const newKey = () => `self-deadlock ${run} ${keys++}`

/** A factory, and the keys that it has warned of. */
function observed(store: LockStore, retry = { timeout: 20 }, logger = new RecordingLogger()) {
  return {
    factory: new LockFactory(store, { logger, retry }),
    warnings: () =>
      logger.lines
        .filter(({ bindings }) => bindings.code === 'LOQUET_SELF_DEADLOCK')
        .map(({ bindings }) => bindings.key),
  }
}

/** Right after a look at the stack there is none, for 50 ms at most. */
const rest = () => sleep(100)

forEachStore('self-deadlock', ({ createStore }) => {
  test('a wait for the lock of the run around it is named, once for each key', async ({
    assert,
  }) => {
    const { factory, warnings } = observed(createStore())
    const [one, other] = [newKey(), newKey()]
    for (const key of [one, one, other]) {
      await rest()
      const [, isAcquired] = await factory
        .createLock(key)
        .run(() => factory.createLock(key).acquire())
      assert.isFalse(isAcquired)
    }
    assert.deepEqual(warnings(), [one, other])
  })

  test('through functions that await each other, and other locks', async ({ assert }) => {
    const { factory, warnings } = observed(createStore())
    const key = newKey()
    const deep = async (depth: number): Promise<unknown> => {
      await turn()
      return depth === 0 ? factory.createLock(key).run(() => {}) : deep(depth - 1)
    }
    await rest()
    await factory.createLock(key).run(async () => {
      await turn()
      await factory.createLock(newKey()).run(async () => {
        await Promise.all([turn(), deep(10)])
      })
    })
    assert.deepEqual(warnings(), [key])
  })

  test('waits for others are not named', async ({ assert }) => {
    const { factory, warnings } = observed(createStore(), { timeout: 5000 })
    const [one, other] = [newKey(), newKey()]
    let background: Promise<unknown> | undefined
    const runs = [one, other].map((key) =>
      factory.createLock(key).run(async () => {
        await turn()
        // Not awaited: it waits for this run, and this run doesn't wait for it.
        background ??= turn().then(() => factory.createLock(key).run(() => {}))
        await sleep(20)
      })
    )
    await rest()
    // Somebody else's.
    const waits = [one, other].map((key) => factory.createLock(key).run(() => {}))
    await Promise.all([...runs, ...waits])
    await background
    // Held by nobody's callback, or wanted only once.
    const lock = factory.createLock(one)
    await lock.acquire()
    await factory.createLock(one).acquire({ retry: { timeout: 5 } })
    await lock.release()
    await lock.run(() => factory.createLock(one).acquireImmediately())
    assert.deepEqual(warnings(), [])
  })
})

test.group('self-deadlock | details', () => {
  test('the same key on another store is another lock', async ({ assert }) => {
    const [one, other] = [observed(new MemoryStore()), observed(new SyncStore())]
    const key = newKey()
    await other.factory.createLock(key).acquire()
    await rest()
    await one.factory.createLock(key).run(() => other.factory.createLock(key).acquire())
    assert.deepEqual([...one.warnings(), ...other.warnings()], [])
  })

  test('what takes long once leaves the next self-deadlock to be named', async ({ assert }) => {
    const logger = new RecordingLogger()
    const { warn } = logger
    logger.child = () => logger
    logger.warn = (...line: Parameters<typeof warn>) => {
      const startedAt = performance.now()
      while (performance.now() - startedAt < 10);
      warn(...line)
    }
    const { factory, warnings } = observed(new MemoryStore(), undefined, logger)
    const [one, other] = [newKey(), newKey()]
    for (const key of [one, other]) {
      await rest()
      await factory.createLock(key).run(() => factory.createLock(key).acquire())
    }
    assert.deepEqual(warnings(), [one, other])
  })

  test('without a logger it is a process warning; stack traces stay as they were', async ({
    assert,
  }) => {
    const { stdout, stderr, code } = await runModule(`
      import { LockFactory } from 'loquet'
      import { MemoryStore } from 'loquet/drivers/memory'
      process.on('warning', ({ code, message }) => console.log(code, message))
      const before = [Error.stackTraceLimit, Error.prepareStackTrace]
      const factory = new LockFactory(new MemoryStore())
      const lock = () => factory.createLock('orders.1')
      await lock().run(() => lock().acquire({ retry: { timeout: 5 } }))
      const after = [Error.stackTraceLimit, Error.prepareStackTrace]
      console.log(before.every((value, index) => value === after[index]))
    `)
    assert.equal(code, 0, stderr)
    const lines = stdout.trim().split('\n')
    assert.match(
      lines[0],
      /^LOQUET_SELF_DEADLOCK The lock "orders\.1" is waited for within a run\(\)/
    )
    assert.equal(lines[1], 'true')
  })

  test('a process that freezes its intrinsics is left alone', async ({ assert }) => {
    const { stdout, code, stderr } = await runModule(
      `
      import { LockFactory } from 'loquet'
      import { MemoryStore } from 'loquet/drivers/memory'
      const factory = new LockFactory(new MemoryStore())
      const lock = () => factory.createLock('orders.1')
      const result = await lock().run(() => lock().acquire({ retry: { timeout: 5 } }))
      console.log(JSON.stringify(result))
    `,
      ['--frozen-intrinsics']
    )
    assert.equal(code, 0, stderr)
    assert.equal(stdout.trim(), '[true,false]')
  })
})
