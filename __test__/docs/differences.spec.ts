/**
 * docs/migrating-from-adonisjs-lock.md says where loquet and the original differ, and what stays. Both are tried side by
 * side, on their memory stores; what differs on servers is tried there.
 */
import { test } from '@japa/runner'
import * as original from '@verrou/core'
import { MemoryStore as OriginalMemoryStore } from '@verrou/core/drivers/memory'
import * as loquet from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import { errorOf, until } from '../unit/observe.js'
import { samplesOf } from './samples.js'

/** The core of both, as far as it is compared. */
const originals = () => new original.LockFactory(new OriginalMemoryStore())
const ours = () => new loquet.LockFactory(new MemoryStore())

/** The code of the error that a promise rejects with, or `undefined`. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: { code?: unknown }) => error.code
  )
}

const NOT_OWNED = 'E_LOCK_NOT_OWNED'
const INVALID = 'E_INVALID_ARGUMENTS_EXCEPTION'

test.group('Differences from the original', () => {
  test('releasing what is not held: silent there, an error here', async ({ assert }) => {
    assert.isUndefined(await codeOf(originals().createLock('key').release()))
    assert.equal(await codeOf(ours().createLock('key').release()), NOT_OWNED)
  })

  test('extending what has expired: revived there, an error here', async ({ assert }) => {
    for (const [locks, code] of [
      [originals(), undefined],
      [ours(), NOT_OWNED],
    ] as const) {
      const lock = locks.createLock('key', 5)
      await lock.acquire()
      await until(() => lock.getRemainingTime()! < -5)
      assert.equal(await codeOf(lock.extend(10_000)), code)
    }
  })

  test("a callback's error: hidden by a failing release there, told here", async ({ assert }) => {
    class Failing extends OriginalMemoryStore {
      override async delete() {
        throw new Error('the release')
      }
    }
    const run = (locks: original.LockFactory | loquet.LockFactory) =>
      locks.createLock('key').run(async () => {
        throw new Error('the callback')
      })

    const there = await errorOf(() => run(new original.LockFactory(new Failing())))
    const here = await errorOf(() => run(new loquet.LockFactory(new Failing())))
    assert.deepEqual([there.message, here.message], ['the release', 'the callback'])
  })

  test('a TTL of 0: for ever there, an error here', async ({ assert }) => {
    const lock = originals().createLock('key', 0)
    await lock.acquire()
    assert.isNull(lock.getRemainingTime())
    assert.throws(() => ours().createLock('key', 0), /lock TTL/)
  })

  test('no attempts: acquired without asking there, an error here', async ({ assert }) => {
    const [there, here] = [originals(), ours()]
    await there.createLock('key').acquire()
    await here.createLock('key').acquire()
    const none = { retry: { attempts: 0 } }

    assert.isTrue(await there.createLock('key').acquire(none))
    assert.equal(await codeOf(here.createLock('key').acquire(none)), INVALID)
  })

  test('a store that is not known: a TypeError there, its name and the known ones here', async ({
    assert,
  }) => {
    const config = { default: 'a', stores: { a: { driver: { factory: () => new MemoryStore() } } } }

    assert.throws(() => new original.Verrou(config as never).use('b' as never), TypeError)
    assert.throws(() => new loquet.Verrou(config as never).use('b' as never), /"b".*are: a/)
  })

  test('run on a free lock: the callback is called later there, at once here', ({ assert }) => {
    const calls: string[] = []
    void originals()
      .createLock('key')
      .run(async () => calls.push('original'))
    void ours()
      .createLock('key')
      .run(async () => calls.push('loquet'))

    assert.deepEqual(calls, ['loquet'])
  })

  test('the owner of a second acquisition: the same there, another one here', async ({
    assert,
  }) => {
    for (const [locks, isSame] of [
      [originals(), true],
      [ours(), false],
    ] as const) {
      const lock = locks.createLock('key')
      await lock.acquire()
      const first = lock.getOwner()
      await lock.release()
      await lock.acquire()
      assert.equal(lock.getOwner() === first, isSame)
    }
  })

  test('a table of the original is named by the sample', ({ assert }) => {
    const [sample] = samplesOf('docs/migrating-from-adonisjs-lock.md')

    // What `DatabaseStore` of the original takes where no table is named.
    const named: string[] = []
    const adapter = { setTableName: (name: string) => named.push(name) }
    return import('@verrou/core/drivers/database').then(({ DatabaseStore }) => {
      const store = new DatabaseStore(adapter as never, { autoCreateTable: false })
      assert.isObject(store)
      assert.deepEqual(named, ['verrou'])
      assert.include(sample.code, "tableName: 'verrou'")
    })
  })
})
