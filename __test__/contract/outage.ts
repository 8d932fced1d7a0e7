/**
 * What the tests of servers that fail have in common.
 */
import { E_LOCK_STORAGE_ERROR } from 'loquet'
import type { Assert } from '@japa/assert'
import type { LockFactory } from 'loquet'

import { millisOf, rejectionOf } from '../unit/observe.js'

/** Milliseconds; for calls that are to fail. */
export const COMMAND_TIMEOUT = 600
/** By how much a call may be late on a busy machine. */
export const SLACK = 3000
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
  const millis = await millisOf(async () => {
    assert.isFalse(await factory.createLock('in time').acquire({ retry: { timeout } }))
  })
  assert.isAbove(millis, timeout)
  assert.isBelow(millis, timeout + SLACK)
  const signal = AbortSignal.timeout(timeout)
  const reason = await rejectionOf(factory.createLock('aborted').acquire({ signal }))
  assert.equal(reason.name, 'TimeoutError')
}

/** Locks as soon as the server can be used again, with nothing started anew. */
export async function assertUsable(assert: Assert, factory: LockFactory): Promise<void> {
  const lock = factory.createLock('usable', 60_000)
  assert.isTrue(await lock.acquire({ retry: { timeout: 10_000 } }))
  await lock.extend(30_000)
  assert.isTrue(await lock.isLocked())
  await lock.release()
}
