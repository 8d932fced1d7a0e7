import { setImmediate as nextTurn } from 'node:timers/promises'

import { ENDLESS, parseDuration } from './duration.js'
import type { Lease, LockEngine } from './engine/lease.js'
import { LeaseLife, mayBeHeld } from './engine/lease_life.js'
import { isNotOwned } from './engine/not_owned.js'
import { decodeKey } from './key.js'
import { loosen, native, ticketsOf } from './native.js'
import type { Scope } from './scope.js'
import { invalid } from './validation.js'
import type { CloseOptions } from './types/main.js'

/** Milliseconds that it may take to close everything. */
const DEFAULT_TIMEOUT = 5000

/** Longer than this, Node.js's timers fire at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

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
 * Waits until whoever has stopped waiting has left nothing behind: a lease that the store is granting meanwhile is given back
 * while there are connections to do it. Never rejects.
 *
 * @param timeout - Milliseconds; `ENDLESS` for no limit
 */
export async function cleanUp(engine: LockEngine, timeout: number): Promise<void> {
  await within(timeout, Promise.resolve(engine.cleanUp?.()))
  loosen(new Set([engine]))
}

/**
 * Releases everything that the locks of some scopes hold, but for what was serialized: whoever it was handed on to may be in
 * the midst of its work, and releases it. Their holders hear of it first, by their signals. What can't be
 * released in time is logged, and left to its TTL. Leaves nothing behind otherwise, see `cleanUp`. Never rejects.
 *
 * @param scopes - Closed already: their waits are being ended. They have the same holdings
 * @param timeout - Milliseconds; `ENDLESS` for no limit
 */
export async function releaseAll(
  engine: LockEngine,
  scopes: readonly Scope[],
  timeout: number
): Promise<void> {
  const [scope] = scopes
  const pending = new Set<Lease>()
  const releasing: Promise<void>[] = []
  const release = async (lease: Lease) => {
    try {
      await engine.release(lease)
    } catch (error) {
      if (!isNotOwned(error)) warn(scope, lease, error)
    }
    pending.delete(lease)
  }
  const begin = (leases: Iterable<Lease>) => {
    // All of them before the first is free: none of the holders is to learn it from the next one.
    for (const lease of leases) {
      pending.add(lease)
      LeaseLife.of(lease).lose('closed')
    }
    for (const lease of leases) releasing.push(release(lease))
  }
  // Another thread may have granted a wait just before it was ended.
  for (const each of scopes) each.onLateGrant = (lease) => begin([lease])
  begin([...scope.holdings].filter((lease) => mayBeHeld(lease) && !lease.isHandedOn))

  let isOver = false
  const done = async () => {
    while (!isOver && scopes.some((each) => ticketsOf(each).length > 0)) await nextTurn()
    while (releasing.length > 0) await Promise.all(releasing.splice(0))
    await engine.cleanUp?.()
  }
  await within(timeout, done())
  isOver = true
  for (const lease of pending) warn(scope, lease)
  loosen(new Set<object>([...pending, engine]))
}

/**
 * Waits for a promise, but no longer than so many milliseconds.
 *
 * @param timeout - `ENDLESS` for no limit
 */
export async function within(timeout: number, promise: Promise<unknown>): Promise<void> {
  if (timeout === ENDLESS) {
    await promise
    return
  }
  let timer: NodeJS.Timeout | undefined
  const elapsed = new Promise((resolve) => {
    timer = setTimeout(resolve, Math.min(timeout, LONGEST_TIMEOUT))
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
