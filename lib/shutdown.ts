import { ENDLESS, parseDuration } from './duration.js'
import type { Lease, LockEngine } from './engine/lease.js'
import { LeaseLife, mayBeHeld } from './engine/lease_life.js'
import { isNotOwned } from './engine/not_owned.js'
import { decodeKey } from './key.js'
import { loosen, native } from './native.js'
import type { Scope } from './scope.js'
import { invalid } from './validation.js'
import type { CloseOptions } from './types/main.js'

/** Milliseconds that a release may take while everything is closed. */
const DEFAULT_TIMEOUT = 5000

/** Options of a close after validation. */
export interface ResolvedClose {
  release: boolean
  /** Milliseconds; `ENDLESS` for no limit. */
  timeout: number
}

/**
 * @throws InvalidArgumentsException if an option can't be used
 */
export function resolveClose(options: CloseOptions = {}): ResolvedClose {
  if (typeof options !== 'object' || options === null) {
    throw invalid('close options', 'an object with release and timeout', options)
  }
  const { release = false, timeout = DEFAULT_TIMEOUT } = options
  if (typeof release !== 'boolean') throw invalid('release', 'a boolean', release)
  return { release, timeout: parseDuration(timeout, 'close timeout') }
}

/**
 * Releases everything that the locks of a scope hold. Their holders hear of it first, by their signals. What can't be
 * released in time is logged, and left to its TTL. Never rejects.
 *
 * @param timeout - Milliseconds; `ENDLESS` for no limit
 */
export async function releaseAll(engine: LockEngine, scope: Scope, timeout: number): Promise<void> {
  const pending = new Set<Lease>()
  for (const lease of scope.holdings) if (mayBeHeld(lease)) pending.add(lease)
  // All of them before the first is free: none of the holders is to learn it from the next one.
  for (const lease of pending) LeaseLife.of(lease).lose('closed')

  const release = async (lease: Lease) => {
    try {
      await engine.release(lease)
    } catch (error) {
      if (!isNotOwned(error)) warn(scope, lease, error)
    }
    pending.delete(lease)
  }
  await within(timeout, Promise.all([...pending].map(release)))
  for (const lease of pending) warn(scope, lease)
  loosen(pending)
}

/** Waits for a promise, but no longer than so many milliseconds. */
async function within(timeout: number, promise: Promise<unknown>): Promise<void> {
  if (timeout === ENDLESS) {
    await promise
    return
  }
  let timer: NodeJS.Timeout | undefined
  const elapsed = new Promise((resolve) => {
    timer = setTimeout(resolve, timeout)
  })
  await Promise.race([promise, elapsed])
  clearTimeout(timer)
}

function warn({ logger, storeName }: Scope, lease: Lease, error?: unknown): void {
  const remaining = lease.endsAt - native.now()
  const bindings = {
    key: decodeKey(lease.key),
    store: storeName,
    endsIn: remaining === Number.POSITIVE_INFINITY ? null : Math.ceil(remaining),
    err: error,
  }
  try {
    logger.warn(bindings, 'Lock could not be released while the lock manager was closed')
  } catch {
    // A logger that fails must not keep the others from being released.
  }
}
