import { test } from '@japa/runner'
import { errors, LockFactory, Verrou } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { assertNotOwned, errorOf, runModule, until } from './observe.js'
import { RecordingLogger } from './recording_logger.js'
import { forEachStore, SyncStore } from './stores_under_test.js'
import type { LockStore } from 'loquet/types'

const createVerrou = (store: LockStore, logger?: RecordingLogger) =>
  new Verrou({ default: 'one', logger, stores: { one: { driver: { factory: () => store } } } })

/** A store that never answers a release of the given keys, or fails. */
class StubbornStore extends SyncStore {
  readonly #answer: (key: string) => Promise<void> | undefined

  constructor(answer: (key: string) => Promise<void> | undefined) {
    super()
    this.#answer = answer
  }

  override delete(key: string, owner: string): void | Promise<void> {
    return this.#answer(key) ?? super.delete(key, owner)
  }
}

forEachStore('close | release', ({ createStore }) => {
  test('what is held is released, and waiters hear that it is closed', async ({ assert }) => {
    const store = createStore()
    const verrou = createVerrou(store)
    for (let index = 0; index < 20; index++) {
      await verrou.createLock(`held ${index}`, index % 2 ? null : 60_000).acquire()
    }
    const held = await verrou.createLock('of a block').hold({ autoExtend: true })
    const waiting = errorOf(() => verrou.createLock('held 1').acquire())
    await verrou.close({ release: true })

    const ended = await waiting
    assert.equal(ended.code, 'E_LOCK_CLOSED')
    for (let index = 0; index < 20; index++) assert.isFalse(await store.exists(`held ${index}`))
    assert.isFalse(await store.exists('of a block'))
    assert.isFalse(held.isHeld())
    await assertNotOwned(assert, () => held.release())
    const refused = await errorOf(() => verrou.createLock('k').acquire())
    assert.equal(refused.code, 'E_LOCK_CLOSED')
  })

  test('whoever holds hears of it by the signal, before the lock is free', async ({ assert }) => {
    const store = createStore()
    const verrou = createVerrou(store)
    const locks = [verrou.createLock('one'), verrou.createLock('two', null)]
    const wasLocked: Promise<boolean>[] = []
    for (const lock of locks) {
      await lock.acquire()
      lock.signal.addEventListener('abort', () => {
        for (const key of ['one', 'two']) wasLocked.push(Promise.resolve(store.exists(key)))
      })
    }
    await verrou.close({ release: true })

    assert.deepEqual(await Promise.all(wasLocked), [true, true, true, true])
    for (const [index, lock] of locks.entries()) {
      assert.isTrue(lock.signal.aborted)
      assert.instanceOf(lock.signal.reason, errors.E_LOCK_LOST)
      assert.equal(lock.signal.reason.reason, 'closed')
      assert.equal(lock.signal.reason.key, ['one', 'two'][index])
      assert.isFalse(lock.isHeld())
      await assertNotOwned(assert, () => lock.release())
    }
  })

  test('run ends with E_LOCK_NOT_OWNED if its lock was released under its hands', async ({
    assert,
  }) => {
    const verrou = createVerrou(createStore())
    let finish!: () => void
    const mayFinish = new Promise<void>((resolve) => {
      finish = resolve
    })
    let isInside = false
    const running = errorOf(() =>
      verrou.createLock('k').run(async () => {
        isInside = true
        await mayFinish
        return 'result'
      })
    )
    await until(() => isInside)
    await verrou.close({ release: true })
    finish()
    const error = await running
    assert.equal(error.code, 'E_LOCK_NOT_OWNED')
    assert.equal(error.result, 'result')
  })

  test('only what this manager holds: not what others hold, nor what was restored', async ({
    assert,
  }) => {
    const store = createStore()
    const [closed, open] = [createVerrou(store), createVerrou(store)]
    const [other, restored, released] = ['other', 'restored', 'released'].map((key) =>
      open.createLock(key)
    )
    for (const lock of [other, restored]) await lock.acquire()
    await closed.restoreLock(restored.serialize()).extend(60_000)
    await closed.createLock('released').run(() => {})
    await released.acquire()
    await closed.createLock('freed').acquire()
    await open.createLock('freed').forceRelease()
    await open.createLock('freed').acquire()
    await closed.close({ release: true })

    for (const key of ['other', 'restored', 'released', 'freed']) {
      assert.isTrue(await store.exists(key), key)
    }
  })

  test('what was closed without a release can be released later', async ({ assert }) => {
    const store = createStore()
    const verrou = createVerrou(store)
    const lock = verrou.createLock('k')
    await lock.acquire()
    await verrou.close()
    assert.isTrue(lock.isHeld())
    await Promise.all([verrou.close({ release: true }), verrou.close({ release: true })])
    assert.isFalse(await store.exists('k'))
  })
})

test.group('close | release | details', () => {
  test('what does not answer in time is logged with its key and left', async ({ assert }) => {
    const logger = new RecordingLogger()
    let answer!: () => void
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const store = new StubbornStore((key) => (key === 'slow' ? answered : undefined))
    const verrou = createVerrou(store, logger)
    for (const key of ['quick', 'slow']) await verrou.createLock(key).acquire()
    await verrou.close({ release: true, timeout: 30 })

    assert.isUndefined(store.holderOf('quick'))
    assert.isDefined(store.holderOf('slow'))
    const warnings = logger.lines.filter((line) => line.level === 'warn')
    assert.lengthOf(warnings, 1)
    assert.containsSubset(warnings[0].bindings, { key: 'slow', store: 'one', err: undefined })
    assert.isAbove(warnings[0].bindings.endsIn as number, 0)
    // What the store has been asked for keeps the process alive.
    answer()
  })

  test('C12: what a store never answers keeps no process alive once the time is over', async ({
    assert,
  }) => {
    const { code, stdout, stderr } = await runModule(`
      import { LockFactory, Verrou } from 'loquet'
      const never = () => new Promise(() => {})
      const create = () => ({
        save: () => true, delete: never, forceDelete: never, extend: never, exists: () => true,
      })
      const verrou = new Verrou({
        default: 'one',
        stores: { one: { driver: { factory: create } }, two: { driver: { factory: create } } },
      })
      await verrou.createLock('left').acquire()
      await verrou.createLock('kept', 100).acquire({ autoExtend: true })
      const released = verrou.createLock('released')
      await released.acquire()
      released.release()
      await verrou.use('two').createLock('another').acquire()
      setTimeout(() => process.exit(9), 20_000).unref()
      await verrou.close({ release: true, timeout: 50 })
      console.log('closed')

      // What is asked for afterwards keeps it alive as ever, until it is answered.
      const slow = { ...create(), save: () => new Promise((resolve) => setTimeout(resolve, 20, true)) }
      console.log(await new LockFactory(slow).createLock('k').acquire())
    `)
    assert.deepEqual([code, stdout.split('\n'), stderr], [0, ['closed', 'true', ''], ''])
  }).timeout(60_000)

  test('what fails is logged with its error, the rest is released', async ({ assert }) => {
    const logger = new RecordingLogger()
    const failure = new Error('the store is gone')
    const store = new StubbornStore((key) => (key === 'one' ? Promise.reject(failure) : undefined))
    const verrou = createVerrou(store, logger)
    for (const key of ['one', 'two']) await verrou.createLock(key, null).acquire()
    await verrou.close({ release: true, timeout: null })

    assert.isUndefined(store.holderOf('two'))
    const warnings = logger.lines.filter((line) => line.level === 'warn')
    assert.deepEqual(
      warnings.map(({ bindings }) => [bindings.key, bindings.err, bindings.endsIn]),
      [['one', failure, null]]
    )
  })

  test('locks of either kind of a factory, fenced and not, are released', async ({ assert }) => {
    class FencedStore extends SyncStore {
      saveFenced(key: string, owner: string, ttl: number | null) {
        return this.save(key, owner, ttl) && 1n
      }
    }
    const store = new FencedStore()
    const factory = new LockFactory(store)
    await factory.createLock('plain').acquire()
    await factory.createLock('fenced', 1000, { fencing: true }).acquire()
    await factory.close({ release: true })
    for (const key of ['plain', 'fenced']) assert.isUndefined(store.holderOf(key))
  })

  test('leases that have expired are left alone', async ({ assert }) => {
    const store = new SyncStore()
    const factory = new LockFactory(store)
    const lock = factory.createLock('k', 1)
    await lock.acquire()
    await until(() => lock.isExpired())
    await factory.close({ release: true })
    assert.deepEqual(store.deletes, [])
  })

  test('C18: options that can not be used', async ({ assert }) => {
    const verrou = createVerrou(new MemoryStore())
    for (const options of [{ release: 'yes' }, { timeout: -1 }, { timeout: 'soon' }, 5, null]) {
      const error = await errorOf(() => verrou.close(options as never))
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
    }
    assert.isTrue(await verrou.createLock('k').acquire())
  })
})
