import { test } from '@japa/runner'
import { errors } from 'loquet'

import {
  assertLost,
  assertNotOwned,
  errorOf,
  isPending,
  listen,
  rejectionOf,
  until,
} from './observe.js'
import { RecordingLogger } from './recording_logger.js'
import { forEachStore } from './stores_under_test.js'

/** Longer than any test. */
const LONG = '5m'

forEachStore('signal and isHeld', ({ createFactory }) => {
  test('C26: nothing is held before the first acquire and after the release', async ({
    assert,
  }) => {
    const lock = createFactory().createLock('k', LONG)
    assert.isFalse(lock.isHeld())
    assertLost(assert, lock.signal.reason, 'k', 'not_owned')

    await lock.acquire()
    assert.isTrue(lock.isHeld())
    const { signal } = lock
    assert.strictEqual(lock.signal, signal)
    assert.isFalse(signal.aborted)

    await lock.release()
    assert.isFalse(lock.isHeld())
    assert.isFalse(signal.aborted, 'a release is no loss')
    assert.isTrue(lock.signal.aborted)

    await lock.acquire()
    assert.isTrue(lock.isHeld())
    assert.isFalse(lock.signal.aborted)
    assert.notStrictEqual(lock.signal, signal, 'each acquisition has its own')
  })

  test('C26: from the call of release on it is not held, least of all once the next one has it', async ({
    assert,
  }) => {
    // Called as soon as somebody has acquired a lock, before anybody else can be.
    let onLine = () => {}
    const logger = Object.assign(new RecordingLogger(), {
      child: () => logger,
      debug: () => onLine(),
    })
    const factory = createFactory({ logger })
    for (const autoExtend of [false, true]) {
      const [holder, waiter] = [factory.createLock('k', LONG), factory.createLock('k', LONG)]
      await holder.acquire({ autoExtend })
      const { signal } = holder
      const waiting = waiter.acquire({ autoExtend })
      assert.isTrue(await isPending(waiting))
      const held: boolean[] = []
      onLine = () => held.push(holder.isHeld())
      const releasing = holder.release()
      assert.isFalse(holder.isHeld())
      await Promise.all([releasing, waiting])
      assert.deepEqual([holder.isHeld(), waiter.isHeld()], [false, true])
      assert.isFalse(signal.aborted)
      assert.deepEqual(held, [false, false], 'when the one is granted, and the other is released')
      await waiter.release()
    }
  })

  test('C26: at its end a lease is lost, and never held beyond it', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', LONG)
    await lock.acquire()
    const { signal } = lock
    const atAbort: boolean[] = []
    signal.addEventListener('abort', () => atAbort.push(lock.isHeld()))
    await lock.extend(200)
    await until(async () => {
      const isLocked = await lock.isLocked()
      if (lock.isHeld()) assert.isTrue(isLocked)
      return signal.aborted
    })
    assertLost(assert, signal.reason, 'k', 'expired')
    assert.deepEqual(atAbort, [false])
    assert.isFalse(lock.isHeld())
    assert.isTrue(lock.isExpired())

    const unwatched = factory.createLock('unwatched', 20)
    await unwatched.acquire()
    await until(() => !unwatched.isHeld())
    assertLost(assert, unwatched.signal.reason, 'unwatched', 'expired')
  })

  test('C26: a waiting or refused acquire has nothing, and changes nothing', async ({ assert }) => {
    const factory = createFactory()
    const [holder, waiter] = [factory.createLock('k', LONG), factory.createLock('k', LONG)]
    await holder.acquire()
    const heard = listen(holder)
    const waiting = waiter.acquire()
    assert.isTrue(await isPending(waiting))
    assert.isFalse(waiter.isHeld())
    assert.isFalse(await holder.acquireImmediately())
    assert.isTrue(holder.isHeld())
    await holder.release()
    await waiting
    assert.isTrue(waiter.isHeld())
    assert.deepEqual(heard, [])
  })

  test('C26: that it was freed by force shows when it is extended or released', async ({
    assert,
  }) => {
    const factory = createFactory()
    const [extended, released] = [factory.createLock('e', LONG), factory.createLock('r', LONG)]
    for (const lock of [extended, released]) {
      await lock.acquire()
      const heard = listen(lock)
      await factory.createLock(lock.serialize().key).forceRelease()
      await assertNotOwned(assert, () => (lock === extended ? lock.extend() : lock.release()))
      assert.lengthOf(heard, 1)
      assertLost(assert, heard[0], lock.serialize().key, 'not_owned')
      assert.isFalse(lock.isHeld())
    }
  })

  test('C26: … also to somebody who has not asked for the signal before', async ({ assert }) => {
    const factory = createFactory()
    for (const ending of ['extend', 'release'] as const) {
      const lock = factory.createLock(ending, LONG)
      await lock.acquire()
      await factory.createLock(ending).forceRelease()
      await assertNotOwned(assert, () => lock[ending]())
      assert.isFalse(lock.isHeld())
      assertLost(assert, lock.signal.reason, ending, 'not_owned')
      assert.isAbove(lock.getRemainingTime()!, 0, 'C14: a failed call changes nothing')
    }
  })

  test('C26: the signal of what is released is aborted if nobody asked for it before', async ({
    assert,
  }) => {
    const factory = createFactory()
    const [asked, unasked] = [
      await factory.createLock('a').hold(),
      await factory.createLock('u').hold(),
    ]
    const { signal } = asked
    for (const held of [asked, unasked]) await held.release()
    assert.isFalse(signal.aborted)
    assert.strictEqual(asked.signal, signal)
    assertLost(assert, unasked.signal.reason, 'u', 'not_owned')
  })

  test('C26: who frees its own lock by force has lost it', async ({ assert }) => {
    const factory = createFactory()
    for (const autoExtend of [false, true]) {
      const lock = factory.createLock('k', LONG)
      await lock.acquire({ autoExtend })
      const heard = listen(lock)
      await lock.forceRelease()
      assert.isFalse(lock.isHeld())
      assert.lengthOf(heard, 1)
      assertLost(assert, heard[0], 'k', 'not_owned')
    }
  })

  test('C26: an extension by hand moves the end of what is watched', async ({ assert }) => {
    const lock = createFactory().createLock('k', LONG)
    await lock.acquire()
    const heard = listen(lock)
    await lock.extend(100)
    await until(() => heard.length > 0)
    assertLost(assert, heard[0], 'k', 'expired')
    assert.isFalse(lock.isHeld())
  })

  test('C26: what is restored is held, and watched', async ({ assert }) => {
    const factory = createFactory()
    const lock = factory.createLock('k', LONG)
    await lock.acquire()
    const restored = factory.restoreLock(lock.serialize())
    assert.isTrue(restored.isHeld())
    assert.isFalse(restored.signal.aborted)
    const heard = listen(restored)
    await restored.extend(50)
    await until(() => heard.length > 0)
    assertLost(assert, heard[0], 'k', 'expired')
  })
})

forEachStore('hold', ({ createFactory }) => {
  test('C27: what is held is released at the end of the block', async ({ assert }) => {
    const lock = createFactory().createLock('k', LONG)
    for (const autoExtend of [false, true]) {
      let signal: AbortSignal | undefined
      {
        await using held = await lock.hold({ autoExtend })
        signal = held.signal
        assert.isTrue(held.isHeld())
        assert.isTrue(lock.isHeld())
        assert.strictEqual(held.signal, lock.signal)
        assert.isNull(held.fencingToken)
        await held.extend()
        assert.isTrue(await lock.isLocked())
      }
      assert.isFalse(await lock.isLocked())
      assert.isFalse(signal.aborted)
    }
  })

  test('C27: … also if the block throws, and what it throws arrives', async ({ assert }) => {
    const lock = createFactory().createLock('k', LONG)
    const failure = new Error('of the work')
    const error = await errorOf(async () => {
      await using held = await lock.hold()
      if (held.isHeld()) throw failure
    })
    assert.strictEqual(error, failure)
    assert.isFalse(await lock.isLocked())
  })

  test('C27: who can not have it is told by E_LOCK_NOT_ACQUIRED', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k', LONG).acquire()
    for (const retry of [{ attempts: 1 }, { timeout: 20 }]) {
      for (const autoExtend of [false, true]) {
        const lock = factory.createLock('k')
        const error = await rejectionOf(lock.hold({ retry, autoExtend }))
        assert.instanceOf(error, errors.E_LOCK_NOT_ACQUIRED)
        const { code, key, status } = error
        assert.deepEqual([code, key, status], ['E_LOCK_NOT_ACQUIRED', 'k', 423])
        assert.isFalse(lock.isHeld())
      }
    }
  })

  test('C27: a lock that was lost meanwhile ends the block with E_LOCK_NOT_OWNED', async ({
    assert,
  }) => {
    const factory = createFactory()
    await assertNotOwned(assert, async () => {
      await using held = await factory.createLock('k', LONG).hold()
      await factory.createLock('k').forceRelease()
      assert.isTrue(held.isHeld(), 'nobody has told yet')
    })
  })

  test('C27: released by hand, the end of the block does nothing; a second release rejects', async ({
    assert,
  }) => {
    const factory = createFactory()
    const next = factory.createLock('k', LONG)
    {
      await using held = await factory.createLock('k', LONG).hold()
      await held.release()
      assert.isFalse(held.isHeld())
      await assertNotOwned(assert, () => held.release())
      await assertNotOwned(assert, () => held.extend())
      assert.isTrue(await next.acquireImmediately())
    }
    assert.isTrue(await next.isLocked())
    assert.isTrue(next.isHeld())
  })

  test('C5, C27: one object held by several tasks: each releases what it has acquired', async ({
    assert,
  }) => {
    const lock = createFactory().createLock('k', LONG)
    const first = await lock.hold()
    const waiting = lock.hold()
    assert.isTrue(await isPending(waiting))
    await first.release()
    const second = await waiting
    await assertNotOwned(assert, () => first.release())
    assert.deepEqual([first.isHeld(), second.isHeld()], [false, true])
    await second.release()
    assert.isFalse(await lock.isLocked())
  })
})
