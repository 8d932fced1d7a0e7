import type { ResolvedLockConfig } from './types/main.js'

/** The settings whose lock manager has been closed. */
const closed = new WeakSet<ResolvedLockConfig>()
let isAnyClosed = false

/**
 * From now on no lock with these settings is acquired.
 */
export function markClosed(config: ResolvedLockConfig): void {
  closed.add(config)
  isAnyClosed = true
}

export function isClosed(config: ResolvedLockConfig): boolean {
  return isAnyClosed && closed.has(config)
}
