import { Writable } from 'node:stream'

import { test } from '@japa/runner'
import { LockFactory, Verrou } from 'loquet'
import { MemoryStore, memoryStore } from 'loquet/drivers/memory'
import { pino } from 'pino'

import { runModule } from './observe.js'
import { RecordingLogger } from './recording_logger.js'
import { forEachStore } from './stores_under_test.js'

forEachStore('logger', ({ createStore, createFactory }) => {
  test('acquire, extend and release are logged at debug level, by a child of the logger', async ({
    assert,
  }) => {
    const logger = new RecordingLogger()
    const lock = createFactory({ logger }).createLock('some key')
    assert.deepEqual(logger.children, [{ pkg: 'loquet' }])
    await lock.acquire()
    await lock.extend(1000)
    await lock.release()
    await lock.forceRelease()
    assert.deepEqual(
      logger.lines.map(({ level, message }) => [level, message]),
      [
        ['debug', 'Lock acquired'],
        ['debug', 'Lock extended'],
        ['debug', 'Lock released'],
        ['debug', 'Lock released by force'],
      ]
    )
    for (const { bindings, context } of logger.lines) {
      assert.equal(bindings.key, 'some key')
      assert.deepEqual(context, { pkg: 'loquet' })
    }
  })

  test('a waiter logs when it is granted the lock, a refused one logs nothing', async ({
    assert,
  }) => {
    const logger = new RecordingLogger()
    const factory = createFactory({ logger })
    const [holder, refused, waiter] = [1, 2, 3].map(() => factory.createLock('k'))
    await holder.acquire()
    await refused.acquireImmediately()
    await refused.acquire({ retry: { timeout: 10 } })
    assert.lengthOf(logger.lines, 1)
    const waiting = waiter.acquire()
    await holder.release()
    await waiting
    assert.lengthOf(logger.lines, 3)
    assert.sameMembers(
      logger.lines.map(({ message }) => message),
      ['Lock acquired', 'Lock released', 'Lock acquired']
    )
  })

  test('no owner appears in a line: who knows it can release the lock', async ({ assert }) => {
    const logger = new RecordingLogger()
    const lock = new LockFactory(createStore(), { logger }).createLock('k')
    const owner = lock.getOwner()
    await lock.run(() => lock.extend(1000))
    assert.notInclude(JSON.stringify(logger.lines), owner)
  })
})

test.group('logger | pino', () => {
  test('a pino instance works, and so does its level', async ({ assert }) => {
    const lines: any[] = []
    const sink = new Writable({
      write(chunk, _, done) {
        lines.push(JSON.parse(String(chunk)))
        done()
      },
    })
    const logger = pino({ level: 'debug' }, sink)
    const verrou = new Verrou({
      default: 'memory',
      stores: { memory: { driver: memoryStore() } },
      logger,
    })
    await verrou.createLock('some key').run(() => {})
    assert.deepEqual(
      lines.map(({ level, pkg, key, msg }) => [level, pkg, key, msg]),
      [
        [20, 'loquet', 'some key', 'Lock acquired'],
        [20, 'loquet', 'some key', 'Lock released'],
      ]
    )

    lines.length = 0
    const quiet = new LockFactory(new MemoryStore(), { logger: pino({ level: 'info' }, sink) })
    await quiet.createLock('k').run(() => {})
    assert.lengthOf(lines, 0)
  })

  test('pino shows the error of a release that failed after its callback had', async ({
    assert,
  }) => {
    const lines: any[] = []
    const sink = new Writable({
      write(chunk, _, done) {
        lines.push(JSON.parse(String(chunk)))
        done()
      },
    })
    const factory = new LockFactory(new MemoryStore(), { logger: pino({ level: 'warn' }, sink) })
    const running = factory.createLock('k').run(async () => {
      await factory.createLock('k').forceRelease()
      throw new Error('from the callback')
    })
    await assert.rejects(() => running, 'from the callback')
    assert.lengthOf(lines, 1)
    assert.equal(lines[0].err.code, 'E_LOCK_NOT_OWNED')
    assert.isString(lines[0].err.stack)
  })

  test('every store of a Verrou logs by the same name', async ({ assert }) => {
    const logger = new RecordingLogger()
    const stores = { one: { driver: memoryStore() }, two: { driver: memoryStore() } }
    const verrou = new Verrou({ default: 'one', stores, logger })
    await verrou.createLock('k').acquire()
    await verrou.use('two').createLock('k').acquire()
    assert.deepEqual(
      logger.lines.map(({ context }) => context),
      [{ pkg: 'loquet' }, { pkg: 'loquet' }]
    )
  })

  test('without a logger nothing is logged', async ({ assert }) => {
    const { code, stdout, stderr } = await runModule(`
      import { LockFactory } from 'loquet'
      import { MemoryStore } from 'loquet/drivers/memory'
      const factory = new LockFactory(new MemoryStore())
      const lock = factory.createLock('k', 1000)
      await lock.acquire()
      await factory.createLock('k').acquire({ retry: { timeout: 10 } })
      await lock.extend(500)
      await lock.release()
      await lock.release().catch(() => {})
      await lock.run(async () => {
        await factory.createLock('k').forceRelease()
        throw new Error('from the callback')
      }).catch(() => {})
    `)
    assert.deepEqual([code, stdout, stderr], [0, '', ''])
  })
})
