import { ENDLESS, parseDelay, parseDuration } from './duration.js'
import { invalid } from './validation.js'
import type { Duration, ResolvedLockConfig, RetryConfig } from './types/main.js'

type ResolvedRetry = ResolvedLockConfig['retry']

const DEFAULTS: ResolvedRetry = { attempts: Number.POSITIVE_INFINITY, delay: 250 }

/**
 * Validates retry settings; what isn't given comes from `defaults`.
 *
 * @throws InvalidArgumentsException naming the parameter and the value
 */
export function resolveRetry(retry: RetryConfig | undefined, defaults = DEFAULTS): ResolvedRetry {
  if (retry === undefined) return defaults
  if (typeof retry !== 'object' || retry === null) {
    throw invalid('retry', 'an object with attempts, delay and timeout', retry)
  }
  const { attempts, delay, timeout } = retry
  return {
    attempts: attempts === undefined ? defaults.attempts : parseAttempts(attempts),
    delay:
      delay === undefined || delay === null ? defaults.delay : parseDelay(delay, 'retry.delay'),
    timeout: timeout === undefined ? defaults.timeout : parseTimeout(timeout),
  }
}

function parseAttempts(attempts: unknown): number {
  if (attempts === Number.POSITIVE_INFINITY) return attempts
  if (typeof attempts !== 'number' || !Number.isInteger(attempts) || attempts < 1) {
    throw invalid('retry.attempts', 'a positive integer or Infinity', attempts)
  }
  return attempts
}

function parseTimeout(timeout: Duration): number | undefined {
  const millis = parseDuration(timeout, 'retry.timeout')
  return millis === ENDLESS ? undefined : millis
}
