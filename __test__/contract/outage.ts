/**
 * What the tests of servers that fail have in common.
 */
import { setImmediate as turn } from 'node:timers/promises'

import { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR } from 'loquet'
import type { Assert } from '@japa/assert'
import type { Lock, LockFactory } from 'loquet'

import { millisOf, rejectionOf } from '../unit/observe.js'

/** Milliseconds; for calls that are to fail. */
export const COMMAND_TIMEOUT = 600
/** By how much a call may be late on a busy machine. */
export const SLACK = 6000
/** Waiters are woken: a poll would come long after the test has failed. */
export const NO_POLL = { delay: 60_000 }

export async function assertStorageError(
  assert: Assert,
  call: () => Promise<unknown>
): Promise<Error> {
  let error: any
  const millis = await millisOf(async () => {
    error = await rejectionOf(call())
  })
  assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
  assert.instanceOf(error.cause, Error)
  assert.isBelow(millis, COMMAND_TIMEOUT + SLACK)
  return error
}

/** Fails unless every call ends in time, and no acquire succeeds. */
export async function assertAllFail(assert: Assert, factory: LockFactory): Promise<void> {
  const lock = factory.createLock('unreachable')
  await Promise.all([
    assertStorageError(assert, () => lock.acquire()),
    assertStorageError(assert, () => factory.createLock('at once').acquireImmediately()),
    assertStorageError(assert, () => factory.createLock('run').run(() => assert.fail())),
    assertStorageError(assert, () => lock.release()),
    assertStorageError(assert, () => lock.extend()),
    assertStorageError(assert, () => lock.forceRelease()),
    assertStorageError(assert, () => lock.isLocked()),
  ])
  // The call's own limit is the nearer one.
  const timeout = COMMAND_TIMEOUT / 4
  // On a busy machine both may be over before anybody looks.
  const millis = await insist(() =>
    millisOf(async () => {
      assert.isFalse(await factory.createLock('in time').acquire({ retry: { timeout } }))
    })
  )
  assert.isAbove(millis, timeout)
  assert.isBelow(millis, timeout + SLACK)
  const abort = new AbortController()
  const aborted = rejectionOf(factory.createLock('aborted').acquire({ signal: abort.signal }))
  await turn()
  abort.abort('under way')
  assert.equal(await aborted, 'under way')
}

/**
 * Does something that a server which answers does within the command timeout: on a busy machine not at the first try.
 *
 * @param attempt - Is told which try it is, for keys that those before have nothing to do with
 */
export async function insist<T>(attempt: (round: number) => Promise<T>): Promise<T> {
  for (let round = 1; ; round++) {
    try {
      return await attempt(round)
    } catch (error) {
      if (round === 10 || !(error instanceof E_LOCK_STORAGE_ERROR)) throw error
    }
  }
}

/** Releases, though it may have been released already by a try that wasn't answered in time. */
export async function giveBack(assert: Assert, lock: Lock): Promise<void> {
  await insist(async (round) => {
    if (round === 1) return lock.release()
    await lock.release().catch((error) => {
      if (error instanceof E_LOCK_STORAGE_ERROR) throw error
      assert.instanceOf(error, E_LOCK_NOT_OWNED)
    })
  })
}

/** Locks as soon as the server can be used again, with nothing started anew. */
export async function assertUsable(assert: Assert, factory: LockFactory): Promise<void> {
  const lock = await insist(async (round) => {
    const usable = factory.createLock(`usable ${round}`, 60_000)
    assert.isTrue(await usable.acquire({ retry: { timeout: 10_000 } }))
    return usable
  })
  await insist(() => lock.extend(30_000))
  assert.isTrue(await insist(() => lock.isLocked()))
  await giveBack(assert, lock)
}
