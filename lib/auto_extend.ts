import { ENDLESS, parseDuration } from './duration.js'
import { invalid } from './validation.js'
import type { AutoExtendOptions, Duration, ResolvedAutoExtend } from './types/main.js'

/** An hour in all; a minute without a turn of the event loop. */
const DEFAULTS: ResolvedAutoExtend = { max: 3_600_000, stall: 60_000 }

/**
 * Validates settings of automatic extension; what isn't given comes from `defaults`.
 *
 * @param defaults - `null` where leases aren't extended unless it is wanted
 * @returns `null` if leases are not to be extended
 * @throws InvalidArgumentsException naming the parameter and the value
 */
export function resolveAutoExtend(
  value: boolean | AutoExtendOptions | undefined,
  defaults: ResolvedAutoExtend | null = null
): ResolvedAutoExtend | null {
  if (value === undefined) return defaults
  if (value === false) return null
  if (value === true) return defaults ?? DEFAULTS
  if (typeof value !== 'object' || value === null) {
    throw invalid('autoExtend', 'a boolean, or an object with max and stall', value)
  }
  const { max, stall } = defaults ?? DEFAULTS
  return {
    max: value.max === undefined ? max : parseLimit(value.max, 'autoExtend.max'),
    stall: value.stall === undefined ? stall : parseLimit(value.stall, 'autoExtend.stall'),
  }
}

function parseLimit(value: Duration, name: string): number {
  const millis = parseDuration(value, name)
  return millis === ENDLESS || millis > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : millis
}
