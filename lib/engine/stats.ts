import { decodeKey } from '../key.js'
import type { StoreFigures } from '#binding'
import type { StoreStats } from '../types/main.js'

/**
 * Native figures as the user sees them.
 *
 * @param nameOf - What the user calls a key
 */
export function toStats(
  figures: StoreFigures,
  nameOf: (key: string) => string = decodeKey
): StoreStats {
  const contended = figures.contended.map(({ key, waiters }) => ({ key: nameOf(key), waiters }))
  return { ...figures, contended }
}

/**
 * The figures of a store that has not been used yet.
 */
export function noStats(): StoreStats {
  const none = { count: 0, min: 0, max: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0 }
  return {
    wait: none,
    hold: { ...none },
    contended: [],
    waiters: 0,
    leases: 0,
    roundTrips: 0,
    reconnects: 0,
  }
}
