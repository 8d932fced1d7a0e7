/**
 * Reads single options as ioredis does: much of what comes from an environment or a URL is text.
 */
import { CLUSTER_OPTIONS, REDIS_OPTIONS } from './options_table.js'
import type { OptionRow } from './options_table.js'
import { Untranslatable } from './settings.js'
import type { RawOptions, RedisNat } from './settings.js'

/** Milliseconds; more than anybody waits, and still within 32 bits. */
const NO_LIMIT = 2 ** 31 - 1

const HIGHEST_PORT = 65_535

/** ioredis takes the options of clusters and of single servers without a word where they mean nothing. */
const EVERY_OPTION = index([...CLUSTER_OPTIONS, ...REDIS_OPTIONS])

export function index(rows: readonly OptionRow[]): Map<string, OptionRow> {
  return new Map(rows.map((row) => [row.option, row]))
}

/**
 * The names of the options that are given, those that an object inherits included, as ioredis reads them.
 */
export function* namesIn(options: RawOptions): Iterable<string> {
  for (const name in options) {
    if (options[name] !== undefined) yield name
  }
}

/**
 * Refuses options that keep a connection from being made natively, and options that nobody knows.
 *
 * @param rows - What is said about options; those of ioredis that aren't among them have no meaning here
 * @param place - Where the options stand, for the reason; such as `tls.`
 */
export function assertTranslatable(
  options: RawOptions,
  rows: Map<string, OptionRow>,
  place = ''
): void {
  for (const name of namesIn(options)) {
    const row = rows.get(name)
    if (row?.fate === 'own connection') {
      if (isSet(options[name])) throw cannot(place + name, row.why)
    } else if (row === undefined && !(place === '' && EVERY_OPTION.has(name))) {
      throw new Untranslatable(`the option "${place + name}" isn't known`)
    }
  }
}

export function cannot(option: string, why: string): Untranslatable {
  return new Untranslatable(`the option "${option}" can't be carried over: ${why}`)
}

export function isSet(value: unknown): boolean {
  return Boolean(value)
}

/**
 * A text, `undefined` if there is none or an empty one. Numbers become text, as on ioredis's way to the server, and
 * AdonisJS's `Secret` says what it hides.
 */
export function textOf(value: unknown, option: string): string | undefined {
  if (value === undefined || value === null || value === false || value === '') return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || value === true) return String(value)
  if (typeof (value as { release?: unknown }).release === 'function') {
    return textOf((value as { release(): unknown }).release(), option)
  }
  if (Buffer.isBuffer(value)) {
    const text = value.toString('utf8')
    if (Buffer.from(text, 'utf8').equals(value)) return text || undefined
    throw cannot(option, 'its bytes are no UTF-8')
  }
  throw cannot(option, 'it is no text')
}

export function portOf(value: unknown, option: string, otherwise: number): number {
  if (value === undefined || value === null || value === '') return otherwise
  const port = typeof value === 'string' ? Number.parseInt(value, 10) : value
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 0 || port > HIGHEST_PORT) {
    throw cannot(option, 'it is no port')
  }
  return port
}

/**
 * Milliseconds.
 *
 * @param otherwise - For what is no number or negative
 */
export function millisOf(value: unknown, otherwise: number): number {
  const millis = typeof value === 'string' && value !== '' ? Number(value) : value
  if (typeof millis !== 'number' || Number.isNaN(millis) || millis < 0) return otherwise
  return Math.min(Math.ceil(millis), NO_LIMIT)
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
