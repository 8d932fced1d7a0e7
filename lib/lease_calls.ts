/**
 * What is asked of an engine for one lease, and what is said about it.
 */
import {
  isExtendObserved,
  isReleaseObserved,
  observeExtend,
  observeRelease,
} from './diagnostics.js'
import type { Lease, LockEngine } from './engine/lease.js'
import { lostBy } from './engine/lease_life.js'
import { E_LOCK_NOT_OWNED } from './errors.js'
import { decodeKey } from './key.js'
import { noopLogger } from './logger.js'
import { native } from './native.js'
import type { Scope } from './scope.js'

/**
 * Releases one acquisition of which nobody wants to hear more. Throws or rejects.
 */
export function releaseLease(engine: LockEngine, scope: Scope, lease: Lease): void | Promise<void> {
  // First, since the next holder may have it before the call has returned.
  lease.letGo()
  let pending: void | Promise<void>
  try {
    pending = engine.release(lease)
  } catch (error) {
    lostBy(lease, error)
  }
  if (pending === undefined) {
    released(scope, lease)
    return
  }
  if (engine.tellsReleased === true && scope.logger === noopLogger) return pending
  return releasedLater(pending, scope, lease)
}

/** Apart from its caller: what a closure refers to is allocated with each call of the function around it. */
function releasedLater(pending: Promise<void>, scope: Scope, lease: Lease): Promise<void> {
  return pending.then(
    () => released(scope, lease),
    (error: unknown) => lostBy(lease, error)
  )
}

/**
 * Releases one acquisition, and tells whoever wants to hear of it. Throws or rejects.
 */
export function releaseObserved(
  engine: LockEngine,
  scope: Scope,
  lease: Lease
): void | Promise<void> {
  assertNotTaken(lease)
  const release = () => {
    // First: once it is released, whoever extends it no longer knows it, and to be unknown means to be lost.
    lease.life?.letGo()
    return releaseLease(engine, scope, lease)
  }
  return isReleaseObserved() ? observeRelease(engine, scope.storeName, lease, release) : release()
}

/**
 * Extends one acquisition.
 *
 * @param ttl - Milliseconds
 */
export async function extendLease(
  engine: LockEngine,
  scope: Scope,
  lease: Lease,
  ttl: number
): Promise<void> {
  assertNotTaken(lease)
  lease.shortenTo(native.now() + ttl)
  try {
    if (isExtendObserved()) {
      const asked = { ttl, isAutomatic: false }
      await observeExtend(engine, scope.storeName, lease, asked, () => engine.extend(lease, ttl))
    } else await engine.extend(lease, ttl)
  } catch (error) {
    lostBy(lease, error)
  }
  debug(scope, lease.key, 'Lock extended')
}

export function debug({ logger }: Scope, key: string, message: string): void {
  if (logger === noopLogger) return
  try {
    logger.debug({ key: decodeKey(key) }, message)
  } catch {
    // Called in the midst of settling others: a logger that fails must not cost them their locks.
  }
}

function released(scope: Scope, lease: Lease): void {
  lease.release()
  debug(scope, lease.key, 'Lock released')
}

/** Whoever closes the lock manager releases it: asking the store would only open its connections again. */
function assertNotTaken(lease: Lease): void {
  if (lease.life?.loss?.reason === 'closed') throw new E_LOCK_NOT_OWNED()
}
