import { RELEASE } from './engine/lease.js'
import type { Lease, Waited } from './engine/lease.js'
import { isNotOwned } from './engine/not_owned.js'
import { decodeKey } from './key.js'
import type { Logger } from './types/main.js'

/** What `run` returns: whether the callback ran, and what it returned. */
export type RunResult<T> = [executed: true, result: T] | [executed: false, result: null]

/**
 * Runs a callback under a lease, once it is there, and releases it.
 *
 * @param this - A plain object of its own; see `lookForSelfDeadlock`
 * @param started - The lease or `null`, now or later
 * @param logger - Told of a release that fails after the callback has failed
 * @param running - Leases under which a callback works, by key; where that is kept
 */
export async function runUnder<T, L extends { [RELEASE](lease: Lease): void | Promise<void> }>(
  this: object,
  lock: L,
  started: Lease | null | Promise<Waited>,
  callback: (lock: L) => Promise<T> | T,
  logger: Logger,
  running?: Map<string, Lease>
): Promise<RunResult<T>> {
  const lease = started instanceof Promise ? ((await started) as Lease | null) : started
  if (lease === null) return [false, null]
  lease.frame = this
  running?.set(lease.key, lease)
  let result: T
  try {
    result = await callback(lock)
  } catch (error) {
    if (running !== undefined) leave(running, lease)
    if (!lease.released) await releaseAfterError(lock, lease, logger)
    throw error
  }
  if (running !== undefined) leave(running, lease)
  // Released by the callback itself: nothing is left to do.
  if (lease.released) return [true, result]
  try {
    const pending = lock[RELEASE](lease)
    if (pending !== undefined) await pending
  } catch (error) {
    if (isNotOwned(error)) error.result = result
    throw error
  }
  return [true, result]
}

function leave(running: Map<string, Lease>, lease: Lease): void {
  if (running.get(lease.key) === lease) running.delete(lease.key)
}

async function releaseAfterError(
  lock: { [RELEASE](lease: Lease): void | Promise<void> },
  lease: Lease,
  logger: Logger
): Promise<void> {
  try {
    await lock[RELEASE](lease)
  } catch (error) {
    logger.warn(
      { key: decodeKey(lease.key), err: error },
      'Lock could not be released after its callback failed'
    )
  }
}
