/**
 * Reads the options that only ioredis has, as it does.
 */
import { index } from '../translation/rows.js'
import type { OptionRow } from '../translation/rows.js'
import { NO_LIMIT, cannot, millisOf, portOf, textOf } from '../translation/values.js'
import * as values from '../translation/values.js'
import { CLUSTER_OPTIONS, REDIS_OPTIONS } from './options_table.js'
import type { RawOptions, RedisNat } from './settings.js'

/** ioredis takes the options of clusters and of single servers without a word where they mean nothing. */
const EVERY_OPTION = index([...CLUSTER_OPTIONS, ...REDIS_OPTIONS])

/**
 * Refuses options that keep a connection from being made natively, and options that nobody knows.
 *
 * @param place - Where the options stand, for the reason
 */
export function assertTranslatable(
  options: RawOptions,
  rows: Map<string, OptionRow>,
  place = ''
): void {
  values.assertTranslatable(options, rows, place, place === '' ? EVERY_OPTION : undefined)
}

/** For ioredis neither 0 nor nothing is a limit. */
export function connectTimeoutOf(value: unknown): number {
  return millisOf(value, 0) || NO_LIMIT
}

export function familyOf(value: unknown, option: string): number {
  const family = value ?? 0
  if (family === 0 || family === '0' || family === '') return 0
  if (family === 4 || family === '4' || family === 'IPv4') return 4
  if (family === 6 || family === '6' || family === 'IPv6') return 6
  throw cannot(option, 'it is neither 0 nor 4 nor 6')
}

/** ioredis takes what isn't a number for database 0. */
export function databaseOf(value: unknown): number {
  const db = typeof value === 'string' ? Number.parseInt(value, 10) : value
  if (typeof db !== 'number' || Number.isNaN(db)) return 0
  if (!Number.isInteger(db) || db < 0) throw cannot('db', 'it is no number of a database')
  return db
}

export function natMapOf(value: unknown): RedisNat[] | undefined {
  if (value === undefined || value === null || value === false) return undefined
  if (typeof value === 'function') throw cannot('natMap', 'a function translates the addresses')
  if (typeof value !== 'object') return undefined
  const entries = Object.entries(value as Record<string, { host?: unknown; port?: unknown }>)
  const map = entries.map(([from, to]) => ({
    from,
    host: textOf(to?.host, 'natMap') ?? 'localhost',
    port: portOf(to?.port, 'natMap', 6379),
  }))
  return map.length > 0 ? map : undefined
}
