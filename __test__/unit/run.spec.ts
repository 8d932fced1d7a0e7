import { test } from '@japa/runner'
import { E_LOCK_NOT_OWNED, LockFactory } from 'loquet'
import type { Lock } from 'loquet'

import { expire, isPending, rejectionOf, sleep, withTime } from './observe.js'
import { RecordingLogger } from './recording_logger.js'
import { forEachStore, SyncStore } from './stores_under_test.js'

forEachStore('run', ({ createFactory }) => {
  test('C16: run gives the result of the callback, whatever it is, and releases', async ({
    assert,
  }) => {
    const lock = createFactory().createLock('k')
    const object = { any: 'object' }
    for (const value of [undefined, null, 0, '', false, object, [1, 2]]) {
      const [executed, result] = await lock.run(() => value)
      assert.isTrue(executed)
      assert.strictEqual(result, value)
      assert.deepEqual(await lock.run(async () => value), [true, value])
      assert.deepEqual(await lock.runImmediately(() => value), [true, value])
      assert.deepEqual(await lock.runImmediately(async () => value), [true, value])
    }
    assert.isFalse(await lock.isLocked())
  })

  test('C16: the callback gets the lock as its argument, and it is held', async ({ assert }) => {
    const lock = createFactory().createLock('k', 60_000)
    const check = async (given: Lock, ...more: unknown[]) => {
      assert.strictEqual(given, lock)
      assert.lengthOf(more, 0)
      assert.isTrue(await given.isLocked())
      assert.isAbove(given.getRemainingTime()!, 0)
    }
    await lock.run(check)
    await lock.runImmediately(check)
  })

  test('C16: a waiting run does the same', async ({ assert }) => {
    const factory = createFactory()
    const [holder, lock] = [factory.createLock('k'), factory.createLock('k')]
    await holder.acquire()
    const running = lock.run(async (given) => {
      assert.strictEqual(given, lock)
      return given.isLocked()
    })
    const failing = factory.createLock('k').run(() => {
      throw new Error('after waiting')
    })
    const outcome = rejectionOf(failing)
    assert.isTrue(await isPending(running))
    await holder.release()
    assert.deepEqual(await running, [true, true])
    const error = await outcome
    assert.equal(error.message, 'after waiting')
    assert.isFalse(await lock.isLocked())
  })

  test('C16: an error of the callback is passed on as it is, and the lock is released', async ({
    assert,
  }) => {
    const lock = createFactory().createLock('k')
    for (const reason of [new Error('from the callback'), 'text', undefined, null, { code: 1 }]) {
      const throwing = () => {
        throw reason
      }
      assert.strictEqual(await rejectionOf(lock.run(throwing)), reason)
      assert.strictEqual(await rejectionOf(lock.run(async () => throwing())), reason)
      assert.strictEqual(await rejectionOf(lock.runImmediately(throwing)), reason)
      assert.strictEqual(
        await rejectionOf(lock.runImmediately(() => Promise.reject(reason))),
        reason
      )
      assert.isFalse(await lock.isLocked())
    }
  })

  test('C16: the error of the callback wins over a failing release, which is logged', async ({
    assert,
  }) => {
    const logger = new RecordingLogger()
    const lock = createFactory({ logger }).createLock('k')
    const reason = new Error('from the callback')
    const running = lock.run(async () => {
      await expire(lock)
      throw reason
    })
    assert.strictEqual(await rejectionOf(running), reason)
    const [line] = logger.lines.filter(({ level }) => level === 'warn' || level === 'error')
    assert.instanceOf(line.bindings.err, E_LOCK_NOT_OWNED)
    assert.equal(line.bindings.key, 'k')
    assert.match(line.message!, /release/)
  })

  test('C16: a lease that was lost meanwhile rejects with E_LOCK_NOT_OWNED that carries the result', async ({
    assert,
  }) => {
    const factory = createFactory()
    const losses: [title: string, lose: (lock: Lock) => Promise<unknown>][] = [
      ['expired', (lock) => expire(lock)],
      ['freed by force', () => factory.createLock('k').forceRelease()],
      [
        'expired and taken',
        async (lock) => {
          await expire(lock)
          await factory.createLock('k').acquire()
        },
      ],
    ]
    for (const [title, lose] of losses) {
      const lock = factory.createLock('k')
      const result = { done: title }
      const error = await rejectionOf(
        lock.run(async () => {
          await lose(lock)
          return result
        })
      )
      assert.instanceOf(error, E_LOCK_NOT_OWNED, title)
      assert.strictEqual(error.result, result)
      await factory.createLock('k').forceRelease()
    }
    const immediate = await rejectionOf(
      factory.createLock('k').runImmediately(async (lock) => {
        await expire(lock)
        return 'done'
      })
    )
    assert.equal(immediate.result, 'done')
  })

  test('C16: a run that lost its lease does not free the lock of the next holder', async ({
    assert,
  }) => {
    const factory = createFactory()
    const next = factory.createLock('k')
    await rejectionOf(
      factory.createLock('k').run(async (lock) => {
        await expire(lock)
        await next.acquire()
      })
    )
    assert.isTrue(await next.isLocked())
    await next.release()
  })

  test('C16: a callback that releases the lock itself is no error', async ({ assert }) => {
    const factory = createFactory()
    const outcome = await factory.createLock('k').run(async (lock) => {
      await lock.release()
      return 'done'
    })
    assert.deepEqual(outcome, [true, 'done'])

    const next = factory.createLock('k')
    await factory.createLock('k').run(async (lock) => {
      await lock.release()
      await next.acquire()
    })
    assert.isTrue(await next.isLocked(), 'what somebody has acquired since is not released')
    await next.release()

    const reason = new Error('after the release')
    const failing = factory.createLock('k').run(async (lock) => {
      await lock.release()
      throw reason
    })
    assert.strictEqual(await rejectionOf(failing), reason)
  })

  test('C16: a callback that extends the lease keeps it', async ({ assert }) => {
    const factory = createFactory()
    await withTime(100, async (ttl) => {
      const outcome = await factory.createLock('k', ttl).run(async (lock) => {
        await lock.extend(60_000)
        await sleep(ttl * 1.3)
        return lock.isLocked()
      })
      assert.deepEqual(outcome, [true, true])
    })
  })

  test('C16: run takes the options of acquire', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k').acquire()
    const lock = factory.createLock('k')
    const outcomes = [
      lock.run(() => {}, { retry: { attempts: 2, delay: 5 } }),
      lock.run(() => {}, { retry: { timeout: 10 } }),
      lock.run(() => {}, { retry: { attempts: 1 }, signal: new AbortController().signal }),
    ]
    for (const outcome of outcomes) assert.deepEqual(await outcome, [false, null])
  })
})

test.group('run | errors of a custom store', () => {
  test('C16: an error of the store on release is passed on as it is', async ({ assert }) => {
    const store = new SyncStore()
    const reason = new Error('no connection')
    store.delete = () => {
      throw reason
    }
    const running = new LockFactory(store).createLock('k').run(() => 'done')
    assert.strictEqual(await rejectionOf(running), reason)
  })

  test('C16: the error of the callback wins over it, and it is logged as it is', async ({
    assert,
  }) => {
    const store = new SyncStore()
    const [reason, unreleased] = [new Error('from the callback'), new Error('no connection')]
    store.delete = () => {
      throw unreleased
    }
    const logger = new RecordingLogger()
    const lock = new LockFactory(store, { logger }).createLock('k')
    assert.strictEqual(await rejectionOf(lock.run(() => Promise.reject(reason))), reason)
    const [line] = logger.lines.filter(({ level }) => level === 'warn' || level === 'error')
    assert.strictEqual(line.bindings.err, unreleased)
  })

  test('C16: an E_LOCK_NOT_OWNED of another package carries the result as well', async ({
    assert,
  }) => {
    const { E_LOCK_NOT_OWNED: PeerError } = await import('@verrou/core')
    const store = new SyncStore()
    store.delete = () => {
      throw new PeerError()
    }
    const error = await rejectionOf(new LockFactory(store).createLock('k').run(() => 'done'))
    assert.instanceOf(error, PeerError)
    assert.equal(error.result, 'done')
  })

  test('C16: the callback does not run when the store fails to save', async ({ assert }) => {
    const store = new SyncStore()
    const reason = new Error('no connection')
    store.save = () => {
      throw reason
    }
    const lock = new LockFactory(store).createLock('k')
    let calls = 0
    assert.strictEqual(await rejectionOf(lock.run(() => ++calls)), reason)
    assert.strictEqual(await rejectionOf(lock.runImmediately(() => ++calls)), reason)
    assert.equal(calls, 0)
  })
})
