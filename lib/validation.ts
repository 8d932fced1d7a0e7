import { inspect } from 'node:util'

import { InvalidArgumentsException } from './errors.js'
import type { LockStore, SerializedLock } from './types/main.js'

/**
 * The error for a value that can't be used. Names the parameter, what is wanted and the value.
 */
export function invalid(name: string, wanted: string, value: unknown): InvalidArgumentsException {
  const shown = inspect(value, {
    depth: 1,
    maxStringLength: 80,
    breakLength: Number.POSITIVE_INFINITY,
  })
  return new InvalidArgumentsException(`Invalid ${name}: expected ${wanted}, got ${shown}`)
}

export function assertKey(key: unknown): asserts key is string {
  if (typeof key !== 'string' || key === '') {
    throw invalid('lock key', 'a non-empty string', key)
  }
}

const STORE_METHODS = ['save', 'delete', 'forceDelete', 'exists', 'extend'] as const

/**
 * Checks that a value has the five methods of a lock store.
 *
 * @param origin - Where the value comes from, for the error
 */
export function assertStore(store: unknown, origin: string): asserts store is LockStore {
  if (typeof store !== 'object' || store === null) {
    throw invalid(origin, `a lock store with the methods ${STORE_METHODS.join(', ')}`, store)
  }
  const missing = STORE_METHODS.filter(
    (method) => typeof (store as Record<string, unknown>)[method] !== 'function'
  )
  if (missing.length > 0) {
    throw new InvalidArgumentsException(
      `Invalid ${origin}: a lock store has the methods ${STORE_METHODS.join(', ')}; missing: ${missing.join(', ')}`
    )
  }
}

/**
 * Checks what `restoreLock` is given: it comes from outside, perhaps through a queue.
 */
export function assertSerializedLock(lock: unknown): asserts lock is SerializedLock {
  if (typeof lock !== 'object' || lock === null) {
    throw invalid('serialized lock', 'what lock.serialize() returned', lock)
  }
  const { key, owner, ttl, expirationTime } = lock as Record<string, unknown>
  if (typeof key !== 'string' || key === '') {
    throw invalid('serialized lock: key', 'a non-empty string', key)
  }
  if (typeof owner !== 'string' || owner === '') {
    throw invalid('serialized lock: owner', 'a non-empty string', owner)
  }
  if (!isNullOrFinite(ttl) || (ttl !== null && ttl <= 0)) {
    throw invalid('serialized lock: ttl', 'a positive number of milliseconds or null', ttl)
  }
  if (!isNullOrFinite(expirationTime)) {
    throw invalid(
      'serialized lock: expirationTime',
      'milliseconds since the Unix epoch or null',
      expirationTime
    )
  }
}

function isNullOrFinite(value: unknown): value is number | null {
  return value === null || (typeof value === 'number' && Number.isFinite(value))
}
