import { setTimeout as sleep } from 'node:timers/promises'

import { test } from '@japa/runner'
import { E_LOCK_NOT_OWNED, LockFactory, Verrou } from 'loquet'
import type { Lock } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import type { AutoExtendOptions } from 'loquet/types'

import { resolveAutoExtend } from '../../lib/auto_extend.js'
import {
  assertLost,
  assertNotOwned,
  errorOf,
  isPending,
  listen,
  rejectionOf,
  until,
} from './observe.js'
import { AsyncStore, SyncStore, forEachStore } from './stores_under_test.js'

/** Longer than any test: what is noticed nevertheless was not noticed by an extension. */
const LONG = '5m'
/** Short enough to be outlasted several times over; extended at a third of it, with two thirds to spare. */
const SHORT = 3000

/** Acquires a lock that is long and kept; whether it is kept shows when somebody frees it. */
async function acquireKept(lock: Lock, autoExtend: boolean | AutoExtendOptions = true) {
  if (!(await lock.acquire({ autoExtend }))) throw new Error('somebody else holds it')
}

forEachStore('extended by itself', ({ createStore, createFactory }) => {
  test('C25: a lease outlasts its TTL for as long as it is held, or for max', async ({
    assert,
  }) => {
    const factory = createFactory()
    const create = (key: string) => factory.createLock(key, SHORT)
    const [kept, byHand, limited, left] = ['kept', 'by hand', 'limited', 'left'].map(create)
    await acquireKept(kept)
    await acquireKept(byHand)
    await acquireKept(limited, { max: SHORT * 1.5 })
    await left.acquire()
    await byHand.extend(60_000)
    const start = performance.now()
    const heard = [kept, byHand, limited].map(listen)
    while (performance.now() - start < SHORT * 2.2) {
      assert.isFalse(await factory.createLock('kept').acquireImmediately())
      assert.isTrue(kept.isHeld())
      assert.isAbove(kept.getRemainingTime()!, 0)
      await sleep(20)
    }
    assert.isFalse(left.isHeld(), 'what is not extended has ended')
    assert.isAbove(byHand.getRemainingTime()!, 50_000, 'what was extended further stays so')

    await until(() => heard[2].length > 0)
    assertLost(assert, heard[2][0], 'limited', 'max')
    assert.isFalse(limited.isHeld())
    await assertNotOwned(assert, () => limited.extend())
    assert.isFalse(await limited.isLocked())

    for (const lock of [kept, byHand]) {
      await lock.release()
      assert.isFalse(lock.isHeld())
      assert.isFalse(await lock.isLocked())
    }
    assert.deepEqual(heard.slice(0, 2), [[], []])
  }).timeout(40_000)

  test('C25: after the release nothing is extended, and no timer is left', async ({ assert }) => {
    const store = createStore()
    const factory = new LockFactory(store)
    const locks = ['a', 'b', 'c', 'd'].map((key) => factory.createLock(key, 1500))
    await sleep(5)
    const timers = () =>
      process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
    const before = timers()
    await factory.createLock('b').acquire()
    await acquireKept(locks[0])
    await rejectionOf(locks[1].hold({ autoExtend: true, retry: { timeout: 10 } }))
    await locks[2].run(() => {}, { autoExtend: true })
    const abort = new AbortController()
    const aborted = factory.createLock('a').acquire({ autoExtend: true, signal: abort.signal })
    assert.isTrue(await isPending(aborted))
    abort.abort()
    await rejectionOf(aborted)
    await locks[0].release()
    assert.isAtMost(timers(), before)

    // Whoever acquires next has a lease of its own that nobody extends.
    await locks[0].acquire()
    await until(async () => !locks[0].isHeld() && !(await locks[0].isLocked()))
  })

  test('C25: a forced release in the same process is noticed at once', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', LONG)
    await acquireKept(lock)
    const heard = listen(lock)
    await factory.createLock('k').forceRelease()
    await until(() => heard.length > 0)
    assertLost(assert, heard[0], 'k', 'not_owned')
    assert.isFalse(lock.isHeld())
    assert.isTrue(await factory.createLock('k').acquireImmediately())
    await assertNotOwned(assert, () => lock.release())
    assert.lengthOf(heard, 1)
  })

  test('C25: one of which the engine does not hear is noticed by the next extension', async ({
    assert,
  }) => {
    const store = createStore()
    const lock = new LockFactory(store).createLock('k', SHORT / 2)
    await acquireKept(lock)
    const heard = listen(lock)
    await store.forceDelete('k')
    await until(() => heard.length > 0)
    assertLost(assert, heard[0], 'k', 'not_owned')
    assert.isFalse(lock.isHeld())
  })

  test('C25: who has restored it can release it, of which its holder hears', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', SHORT / 2)
    await acquireKept(lock)
    const heard = listen(lock)
    const restored = factory.restoreLock(lock.serialize())
    await restored.extend(SHORT)
    await restored.release()
    assert.isTrue(await factory.createLock('k', LONG).acquireImmediately())
    await until(() => heard.length > 0)
    assertLost(assert, heard[0], 'k', 'not_owned')
  })

  test('C15, C25: one that is restored knows the end of then, and may release what has been extended since', async ({
    assert,
  }) => {
    const store = createStore()
    const lock = new LockFactory(store).createLock('k', SHORT / 2)
    await acquireKept(lock)
    const heard = listen(lock)
    // As if it had been serialized a while ago, and extended several times since.
    const serialized = { ...lock.serialize(), expirationTime: Date.now() - 1 }
    const [early, late] = [new LockFactory(store), new LockFactory(store)]
    const restored = early.restoreLock(serialized)
    assert.isTrue(restored.isExpired())
    assert.isFalse(restored.isHeld())
    assert.isTrue(lock.isHeld())
    assert.isTrue(await restored.isLocked())

    await restored.extend(60_000)
    assert.isTrue(restored.isHeld())
    await until(() => lock.getRemainingTime()! > SHORT)
    await late.restoreLock(serialized).release()
    await until(() => heard.length > 0)
    assertLost(assert, heard[0], 'k', 'not_owned')
    assert.isFalse(lock.isHeld())
    assert.isTrue(await late.createLock('k', LONG).acquireImmediately())
  })

  test('C25: a lease lasts for its TTL at least, whatever max says', async ({ assert }) => {
    const factory = createFactory()
    const [lock, long] = [factory.createLock('k', SHORT / 2), factory.createLock('long', '2h')]
    const start = performance.now()
    await acquireKept(lock, { max: 1 })
    const heard = listen(lock)
    await acquireKept(long)
    assert.isAbove(long.getRemainingTime()!, 3_600_000 * 1.9)
    await until(() => heard.length > 0)
    assert.isAtLeast(performance.now() - start, SHORT / 2 - 1)
    assertLost(assert, heard[0], 'k', 'max')
    await long.release()
  })

  test('C25: a lock without a TTL needs no extending', async ({ assert }) => {
    const lock = createFactory().createLock('k', null)
    await acquireKept(lock, { max: 20, stall: 20 })
    const heard = listen(lock)
    assert.isTrue(lock.isHeld())
    assert.isNull(lock.getRemainingTime())
    await sleep(60)
    assert.isTrue(lock.isHeld())
    await lock.release()
    assert.deepEqual(heard, [])
  })

  test('C25: it may be the default, and each acquire may differ from it', async ({ assert }) => {
    const store = createStore()
    const stores = { one: { driver: { factory: () => store } } }
    const kept: Lock[] = []
    const left: Lock[] = []
    let number = 0
    const create = (factory: { createLock: LockFactory['createLock'] }) =>
      factory.createLock(`k${number++}`, LONG)

    const byDefault = new LockFactory(store, { autoExtend: true })
    const byVerrou = new Verrou({ default: 'one', stores, autoExtend: { stall: '2m' } })
    for (const factory of [byDefault, byVerrou]) {
      kept.push(create(factory), create(factory), create(factory))
      await kept.at(-1)!.acquire({ retry: { attempts: 1 } })
      await kept.at(-2)!.hold()
      await kept.at(-3)!.acquireImmediately()
      left.push(create(factory))
      await left.at(-1)!.acquire({ autoExtend: false })
    }
    const byOption = new LockFactory(store, { autoExtend: false })
    kept.push(create(byOption), create(byOption))
    await acquireKept(kept.at(-1)!)
    await kept.at(-2)!.hold({ autoExtend: {} })
    left.push(create(byOption))
    await left.at(-1)!.acquire()

    for (const lock of [...left, ...kept]) {
      listen(lock)
      await byOption.createLock(lock.serialize().key).forceRelease()
    }
    await until(() => kept.every(({ signal }) => signal.aborted))
    assert.isTrue(left.every(({ signal }) => !signal.aborted))
  })

  test('C18: what is neither a boolean nor a leash', async ({ assert }) => {
    const store = createStore()
    const stores = { one: { driver: { factory: () => store } } }
    const bad: [name: string, value: any][] = [
      ...[null, 1, 'true', () => true].map((value): [string, any] => ['autoExtend', value]),
      ...[0, -1, Number.NaN, 'soon', {}, true].flatMap((value): [string, any][] => [
        ['autoExtend.max', { max: value }],
        ['autoExtend.stall', { stall: value }],
      ]),
    ]
    const lock = new LockFactory(store).createLock('k')
    for (const [name, autoExtend] of bad) {
      for (const call of [
        () => lock.acquire({ autoExtend }),
        () => lock.hold({ autoExtend }),
        () => lock.run(() => {}, { autoExtend }),
        () => new LockFactory(store, { autoExtend }),
        () => new Verrou({ default: 'one', stores, autoExtend }),
      ]) {
        const error = await errorOf(call)
        assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION', String(error))
        assert.include(error.message, `Invalid ${name}: expected `)
      }
    }
    assert.isFalse(await lock.isLocked())
  })

  test('C25: an hour in all, and a minute without a turn, unless something else is said', ({
    assert,
  }) => {
    assert.deepEqual(resolveAutoExtend(true), { max: 3_600_000, stall: 60_000 })
    assert.deepEqual(resolveAutoExtend({ max: null, stall: '2m' }), {
      max: Number.POSITIVE_INFINITY,
      stall: 120_000,
    })
    assert.deepEqual(resolveAutoExtend({ max: 1e30 }), {
      max: Number.POSITIVE_INFINITY,
      stall: 60_000,
    })
  })

  test('C8, C25: who waits behind it gets it at the release, first come, first served', async ({
    assert,
  }) => {
    const factory = createFactory()
    const holder = factory.createLock('k', LONG)
    await acquireKept(holder)
    const order: number[] = []
    const waits = [0, 1, 2, 3].map((number) =>
      factory.createLock('k', LONG).run(
        async (lock) => {
          order.push(number)
          assert.isTrue(lock.isHeld())
          assert.isFalse(lock.signal.aborted)
        },
        { autoExtend: number % 2 === 0 }
      )
    )
    assert.isTrue(await isPending(waits[0]))
    await holder.release()
    await Promise.all(waits)
    assert.deepEqual(order, [0, 1, 2, 3])
    assert.isFalse(await holder.isLocked())
  })

  test('C16, C25: run rejects with the result if what was extended was lost', async ({
    assert,
  }) => {
    const factory = createFactory()
    const error = await rejectionOf(
      factory.createLock('k', LONG).run(
        async (lock) => {
          await factory.createLock('k').forceRelease()
          await until(() => lock.signal.aborted)
          return 'done in vain'
        },
        { autoExtend: true }
      )
    )
    assert.instanceOf(error, E_LOCK_NOT_OWNED)
    assert.equal(error.result, 'done in vain')
  })
})

/** Keeps the event loop from turning. */
function block(millis: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
}

test.group('extended by itself | in memory', () => {
  test('C25: while the event loop is blocked for several TTLs it is held; longer than stall allows, it is lost', async ({
    assert,
  }) => {
    const lock = new LockFactory(new MemoryStore()).createLock('k', 50)
    await acquireKept(lock, { stall: 1000 })
    const heard = listen(lock)
    block(300)
    assert.isTrue(lock.isHeld())
    await sleep(200)
    assert.deepEqual(heard, [])

    block(1600)
    assert.isFalse(lock.isHeld(), 'in the line after')
    await until(() => heard.length > 0)
    assertLost(assert, heard[0], 'k', 'stalled')
    assert.isFalse(await lock.isLocked())
  })
})

test.group('extended by itself | to the end of its leash', () => {
  test('C25: a forced release in the same process is noticed at once', async ({ assert }) => {
    for (const store of [new MemoryStore(), new SyncStore(), new AsyncStore()]) {
      const factory = new LockFactory(store)
      const lock = factory.createLock('k', LONG)
      await acquireKept(lock, { max: 1000 })
      const heard = listen(lock)
      await factory.createLock('k').forceRelease()
      await until(() => heard.length > 0)
      assertLost(assert, heard[0], 'k', 'not_owned')
    }
  })
})

/** A store whose next extension fails if it is for so many milliseconds. */
class FailingOnce extends AsyncStore {
  constructor(public failsFor = 0) {
    super()
  }

  override async extend(key: string, owner: string, duration: number): Promise<void> {
    if (duration === this.failsFor) {
      this.failsFor = 0
      throw new Error('no answer')
    }
    return super.extend(key, owner, duration)
  }
}

test.group('extended by itself | by hand', () => {
  test('C25: an extension by hand that fails costs no lease that could be extended', async ({
    assert,
  }) => {
    const store = new FailingOnce(400)
    const lock = new LockFactory(store).createLock('k', 60_000)
    await acquireKept(lock)
    const heard = listen(lock)
    const error = await rejectionOf(lock.extend(400))
    assert.equal(error.message, 'no answer')
    assert.isBelow(lock.getRemainingTime()!, 401, 'it may have been performed')
    await until(() => lock.getRemainingTime()! > 30_000)
    await sleep(500)
    assert.isTrue(lock.isHeld())
    assert.deepEqual(heard, [])
    await lock.release()
  })
})
