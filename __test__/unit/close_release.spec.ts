import { test } from '@japa/runner'
import { errors, LockFactory, Verrou } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { assertNotOwned, errorOf, isPending, runModule, until } from './observe.js'
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

/** A store that performs saves when it is told to: requests to a server overtake one another. */
class HeldBackStore extends SyncStore {
  readonly #mayGo: Promise<void>
  go!: () => void
  isAsked = false

  constructor() {
    super()
    this.#mayGo = new Promise((resolve) => {
      this.go = resolve
    })
  }

  override save(key: string, owner: string, ttl: number | null): boolean
  override save(key: string, owner: string, ttl: number | null): boolean | Promise<boolean> {
    this.isAsked = true
    return this.#mayGo.then(() => super.save(key, owner, ttl))
  }
}

forEachStore('close | release', ({ createStore, isOrdered }) => {
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

    const answers = await Promise.all(wasLocked)
    assert.lengthOf(answers, 4)
    // Otherwise the question may be overtaken by the release.
    if (isOrdered) assert.deepEqual(answers, [true, true, true, true])
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

  test('a lock that was granted just before, of which nobody has heard, is released as well', async ({
    assert,
  }) => {
    const store = createStore()
    const holder = new LockFactory(store).createLock('k')
    const endings: string[] = []
    for (const autoExtend of [false, true]) {
      const verrou = createVerrou(store)
      await holder.acquire()
      const waiting = verrou.createLock('k', null).acquire({ autoExtend })
      assert.isTrue(await isPending(waiting))
      const ended = waiting.then(
        (granted) => endings.push(String(granted)),
        ({ code }) => endings.push(code)
      )
      const releasing = holder.release()
      await Promise.all([verrou.close({ release: true }), releasing, ended])
      assert.isFalse(await store.exists('k'))
    }
    // Whoever was told of its lock in time has had it.
    assert.isTrue(endings.every((ending) => ending === 'true' || ending === 'E_LOCK_CLOSED'))
  })

  test('what was serialized is left to whoever it was handed on to', async ({ assert }) => {
    const store = createStore()
    const verrou = createVerrou(store)
    const [kept, plain] = [verrou.createLock('kept'), verrou.createLock('plain', null)]
    await kept.acquire({ autoExtend: true })
    await plain.acquire()
    const handedOn = [JSON.stringify(kept), JSON.stringify(plain)]
    await verrou.close({ release: true })

    const other = new LockFactory(store)
    for (const [index, lock] of [kept, plain].entries()) {
      assert.isTrue(lock.isHeld())
      assert.isFalse(lock.signal.aborted)
      const restored = other.restoreLock(JSON.parse(handedOn[index]))
      assert.isTrue(await restored.isLocked())
      await restored.release()
      assert.isFalse(await restored.isLocked())
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
  test('what is granted to a wait that was ended is gone before it resolves: {$i}')
    .with([{ release: true }, { release: false }, undefined])
    .run(async ({ assert }, options) => {
      const store = new HeldBackStore()
      const [verrou, other] = [createVerrou(store), createVerrou(store)]
      const waiting = errorOf(() => verrou.createLock('k').acquire())
      const single = errorOf(() => verrou.createLock('single').acquireImmediately())
      await until(() => store.isAsked)
      const closing = verrou.close(options)
      const ended = await Promise.all([waiting, single])
      for (const { code } of ended) assert.equal(code, 'E_LOCK_CLOSED')
      assert.isTrue(await isPending(closing))
      // What others ask for isn't waited for.
      const late = other.createLock('late').acquire()
      store.go()
      await closing
      assert.deepEqual([store.holderOf('k'), store.holderOf('single')], [undefined, undefined])
      assert.lengthOf(store.deletes, 2)
      assert.isTrue(await late)
    })

  test('what is never granted is not waited for longer than that takes', async ({ assert }) => {
    const store = new HeldBackStore()
    const verrou = createVerrou(store)
    const waiting = errorOf(() => verrou.createLock('k').acquire())
    await until(() => store.isAsked)
    await verrou.close({ timeout: 30 })
    const ended = await waiting
    assert.equal(ended.code, 'E_LOCK_CLOSED')
    store.go()
    await until(() => store.deletes.length === 1)
    assert.isUndefined(store.holderOf('k'))
  })

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
      let hang = () => {}
      const create = () => ({
        save: (key) => key !== 'asked' || never(hang()), delete: never, forceDelete: never, extend: never, exists: () => true,
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
      const asked = new Promise((resolve) => {
        hang = resolve
      })
      verrou.createLock('asked').acquire().catch(() => {})
      await asked
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

  test('a time that no timer can count is no reason to hurry', async ({ assert }) => {
    const store = new StubbornStore(() => new Promise((resolve) => setTimeout(resolve, 50)))
    const logger = new RecordingLogger()
    const verrou = createVerrou(store, logger)
    await verrou.createLock('k').acquire()
    await verrou.close({ release: true, timeout: '30d' })
    assert.deepEqual(
      logger.lines.filter((line) => line.level === 'warn'),
      []
    )
  })

  test('C18: options that can not be used', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore())
    assert.instanceOf(
      factory.close({ timeout: -1 }).catch(() => {}),
      Promise
    )
    const verrou = createVerrou(new MemoryStore())
    for (const options of [{ release: 'yes' }, { timeout: -1 }, { timeout: 'soon' }, 5, null]) {
      const error = await errorOf(() => verrou.close(options as never))
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
    }
    assert.isTrue(await verrou.createLock('k').acquire())
  })
})
