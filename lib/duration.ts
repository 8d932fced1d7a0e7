import { parse as parseDurationString } from '@lukeed/ms'

import { invalid } from './validation.js'
import type { Duration } from './types/main.js'

/** Stands for "no expiry" and "no limit" where a number of milliseconds is wanted. */
export const ENDLESS = 0

/**
 * A duration in whole milliseconds, fractions rounded up, or {@link ENDLESS} for `null`.
 *
 * @param name - How the parameter is called in an error
 * @throws InvalidArgumentsException naming the parameter and the value, if it doesn't parse or is NaN, infinite, zero
 * or negative
 */
export function parseDuration(duration: Duration, name: string): number {
  if (duration === null) return ENDLESS
  const millis = toMillis(duration)
  if (millis === undefined || !(millis > 0) || !Number.isFinite(millis)) {
    throw invalid(
      name,
      "a positive number of milliseconds, a string such as '10s', or null",
      duration
    )
  }
  return Math.ceil(millis)
}

/**
 * As {@link parseDuration}, for pauses: zero is allowed and stands for itself.
 */
export function parseDelay(duration: Exclude<Duration, null>, name: string): number {
  const millis = toMillis(duration)
  if (millis === undefined || !(millis >= 0) || !Number.isFinite(millis)) {
    throw invalid(
      name,
      "a number of milliseconds, not negative, or a string such as '250ms'",
      duration
    )
  }
  return Math.ceil(millis)
}

function toMillis(duration: unknown): number | undefined {
  if (typeof duration === 'number') return duration
  // The parser takes a zero for nothing at all.
  if (typeof duration === 'string') return parseDurationString(duration) ?? parseZero(duration)
  return undefined
}

function parseZero(duration: string): number | undefined {
  return /^\s*0+(?:\.0+)?\s*[a-z]*\s*$/i.test(duration) ? 0 : undefined
}
