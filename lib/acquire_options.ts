import { resolveAutoExtend } from './auto_extend.js'
import { resolveRetry } from './retry.js'
import { invalid } from './validation.js'
import type { LockAcquireOptions, ResolvedAutoExtend, ResolvedLockConfig } from './types/main.js'

type ResolvedRetry = ResolvedLockConfig['retry']

/** One chance, without waiting: what `acquireImmediately` and `runImmediately` ask for. */
export const ONCE = { attempts: 1, delay: 0 }

/** Options of an acquire after validation. */
export interface ResolvedAcquire {
  retry: ResolvedRetry
  signal: AbortSignal | undefined
  keep: ResolvedAutoExtend | null
}

/**
 * Validates the options of an acquire; what isn't given comes from the factory.
 *
 * @throws InvalidArgumentsException if one can't be used; the signal's reason if it is aborted already
 */
export function resolveAcquire(
  options: LockAcquireOptions,
  config: ResolvedLockConfig
): ResolvedAcquire {
  if (typeof options !== 'object' || options === null) {
    throw invalid('acquire options', 'an object with retry, signal and autoExtend', options)
  }
  const { retry, signal, autoExtend } = options
  const resolved = {
    retry: retry === ONCE ? once(config.retry) : resolveRetry(retry, config.retry),
    signal,
    keep: resolveAutoExtend(autoExtend, config.autoExtend),
  }
  if (signal !== undefined) assertNotAborted(signal)
  return resolved
}

/** One chance; a timeout that the factory sets still counts, for stores that may hang. */
function once({ timeout }: ResolvedRetry): ResolvedRetry {
  return timeout === undefined ? ONCE : { ...ONCE, timeout }
}

function assertNotAborted(signal: AbortSignal): void {
  if (
    typeof signal !== 'object' ||
    signal === null ||
    typeof signal.addEventListener !== 'function'
  ) {
    throw invalid('signal', 'an AbortSignal', signal)
  }
  if (signal.aborted) throw signal.reason
}
