/**
 * Extensions that are under way at the same time, with stores that perform and answer them in any order.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import type { Lock } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import type { LockStore } from 'loquet/types'

import { errorOf, listen, rejectionOf, until } from './observe.js'
import { SyncStore } from './stores_under_test.js'

/** Of the lock; what extends by itself asks when a third of it is over. */
const TTL = 6000
const LONG = 300_000

/** What has been asked for and not been performed, or not been answered. */
interface Asked {
  duration: number
  perform(): void
  answer(): void
  fail(error: Error): void
}

/** A store that extends only when it is told to, and answers only then. */
class SlowStore extends SyncStore {
  readonly asked: Asked[] = []
  isSlow = true

  override extend(key: string, owner: string, duration: number): void | Promise<void> {
    const perform = () => super.extend(key, owner, duration)
    if (!this.isSlow) return perform()
    return new Promise<void>((answer, fail) => {
      this.asked.push({ duration, perform, answer, fail })
    })
  }

  remaining(key: string): number {
    return this.table.get(key)!.endsAt - this.now()
  }
}

/** A lock that is extended by itself, of which the first extension is under way. */
async function keptLock() {
  const store = new SlowStore()
  const factory = new LockFactory(store)
  const lock = factory.createLock('k', TTL)
  await lock.acquire({ autoExtend: true })
  const heard = listen(lock)
  // Somebody else frees it by force, which the store doesn't do: so its holder asks at once.
  store.forceDelete = () => {}
  await factory.createLock('k').forceRelease()
  await until(() => store.asked.length === 1)
  const [automatic] = store.asked.splice(0)
  return { store, lock, heard, automatic }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test.group('extensions that cross', () => {
  test('C26: extended to less, it is believed no longer, whether that is ever answered or not', async ({
    assert,
  }) => {
    const store = new SlowStore()
    const lock = new LockFactory(store).createLock('k', LONG)
    await lock.acquire()
    const { signal } = lock
    const extending = rejectionOf(lock.extend(100))
    assert.isAtMost(lock.getRemainingTime()!, 100)
    await until(() => signal.aborted)
    assert.isFalse(lock.isHeld())

    const [asked] = store.asked
    asked.perform()
    asked.fail(new Error('the reply is lost'))
    assert.instanceOf(await extending, Error)
    assert.isFalse(lock.isHeld())
  })

  for (const [order, performed] of Object.entries({
    'is performed first': ['automatic', 'byHand'],
    'is performed last': ['byHand', 'automatic'],
  } as const)) {
    for (const answered of [
      ['automatic', 'byHand'],
      ['byHand', 'automatic'],
    ] as const) {
      test(`C14, C26: the automatic one ${order}, answered are ${answered.join(', ')}`, async ({
        assert,
      }) => {
        const { store, lock, heard, automatic } = await keptLock()
        const extending = lock.extend(LONG)
        const [byHand] = store.asked.splice(0)
        const both = { automatic, byHand }
        const assertTrue = () =>
          assert.isAtMost(lock.getRemainingTime()!, store.remaining('k') + 1, 'no more than it is')
        for (const name of performed) both[name].perform()
        for (const name of answered) {
          both[name].answer()
          await settled()
          assertTrue()
          assert.isTrue(lock.isHeld())
        }
        await extending

        // What was wanted by hand comes all the same: nothing crosses the next extension.
        await until(() => store.asked.length > 0)
        store.isSlow = false
        for (const late of store.asked) {
          late.perform()
          late.answer()
        }
        await until(() => lock.getRemainingTime()! > LONG / 2)
        assertTrue()
        await lock.release()
        assert.deepEqual(heard, [])
      })
    }
  }

  test('C14: without anybody who extends by itself: the less of both is believed', async ({
    assert,
  }) => {
    const store = new SlowStore()
    const lock = new LockFactory(store).createLock('k', TTL)
    await lock.acquire()
    const extending = [lock.extend(LONG), lock.extend(2 * TTL)]
    const [long, short] = store.asked
    short.perform()
    long.perform()
    short.answer()
    await extending[1]
    assert.isAtMost(lock.getRemainingTime()!, 2 * TTL)
    long.answer()
    await extending[0]
    assert.isAtMost(lock.getRemainingTime()!, 2 * TTL)
    assert.isAbove(lock.getRemainingTime()!, 0)

    const alone = lock.extend(LONG)
    store.asked.at(-1)!.perform()
    store.asked.at(-1)!.answer()
    await alone
    assert.isAbove(lock.getRemainingTime()!, LONG / 2)
  })

  test('C14: one that fails may have been performed all the same', async ({ assert }) => {
    const store = new SlowStore()
    const lock = new LockFactory(store).createLock('k', TTL)
    await lock.acquire()
    const extending = lock.extend(LONG)
    const failing = errorOf(() => lock.extend(TTL / 2))
    const [long, short] = store.asked
    long.perform()
    short.perform()
    short.fail(new Error('who knows'))
    const error = await failing
    assert.equal(error.message, 'who knows')
    long.answer()
    await extending
    assert.isAtMost(lock.getRemainingTime()!, store.remaining('k') + 1)
  })

  for (const [name, createStore] of Object.entries<() => LockStore>({
    'a custom store': () => new SyncStore(),
    'the memory store': () => new MemoryStore(),
  })) {
    test(`C15, C25: extended by hand to less, it goes on: ${name}`, async ({ assert }) => {
      const factory = new LockFactory(createStore())
      const byHolder = factory.createLock('holder', LONG)
      const byAnother = factory.createLock('another', LONG)
      const locks = [byHolder, byAnother]
      const extended: Lock[] = [byHolder]
      for (const lock of locks) await lock.acquire({ autoExtend: true })
      extended.push(factory.restoreLock(byAnother.serialize()))
      const heard = locks.map(listen)
      for (const lock of extended) await lock.extend(2500)
      // Nobody has to be fast: it is asked for at once, and this is long.
      await until(() => locks.every((lock) => lock.getRemainingTime()! > LONG / 2))
      await until(() => extended[1].isExpired())
      for (const lock of locks) {
        assert.isTrue(lock.isHeld())
        assert.isTrue(await lock.isLocked())
      }
      assert.deepEqual(heard, [[], []])
    }).timeout(30_000)
  }
})
