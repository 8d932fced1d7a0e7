/**
 * What a store is told about its table and its connections, whatever the database is.
 */
import { InvalidArgumentsException } from '../../errors.js'
import { invalid } from '../../validation.js'
import { namesIn } from '../translation/values.js'
import type { RawOptions } from '../translation/values.js'

/** Milliseconds. */
export const COMMAND_TIMEOUT = 5_000

const DEFAULT_TABLE = 'verrou'

/** The names of the options that say how the store is, not where the database is. */
export const STORE_OPTIONS = [
  'tableName',
  'schemaName',
  'autoCreateTable',
  'fencing',
  'pgbouncer',
  'poolSize',
  'connectTimeout',
  'commandTimeout',
] as const

/** The same after validation. Times are in milliseconds. */
export interface TableSettings {
  /** The table, behind whatever it is in; as they are, not quoted. */
  place: string[]
  autoCreateTable: boolean
  fencing: boolean
  pgbouncer: boolean
  poolSize?: number
  connectTimeout?: number
  commandTimeout: number
}

/**
 * @throws InvalidArgumentsException naming the option that can't be used
 */
export function tableSettingsOf(options: RawOptions): TableSettings {
  const { autoCreateTable = true, fencing = false, pgbouncer = false, poolSize } = options
  for (const [name, value] of Object.entries({ autoCreateTable, fencing, pgbouncer })) {
    if (typeof value !== 'boolean') throw refused(name, 'true or false', value)
  }
  if (poolSize !== undefined && !(Number.isInteger(poolSize) && (poolSize as number) > 0)) {
    throw refused('poolSize', 'a positive integer', poolSize)
  }
  return {
    place: placeOf(options),
    autoCreateTable: autoCreateTable as boolean,
    fencing: fencing as boolean,
    pgbouncer: pgbouncer as boolean,
    poolSize: poolSize as number | undefined,
    connectTimeout: timeoutOf(options.connectTimeout, 'connectTimeout'),
    commandTimeout: timeoutOf(options.commandTimeout, 'commandTimeout') ?? COMMAND_TIMEOUT,
  }
}

/**
 * The table and what it is in, outermost first. As for knex a dot in the table's name separates them, unless the schema is
 * named beside it.
 *
 * @throws InvalidArgumentsException if a name can't be one
 */
export function placeOf({ tableName, schemaName }: RawOptions): string[] {
  const table = nameOf(tableName, 'tableName') ?? DEFAULT_TABLE
  const schema = nameOf(schemaName, 'schemaName')
  if (schema !== undefined) return [schema, table]
  const parts = table.split('.').map((part) => part.trim())
  return parts.includes('') ? [table] : parts.length > 1 ? parts : [table]
}

function nameOf(value: unknown, option: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string' || value.includes('\0')) {
    throw refused(option, 'the name of a table or schema', value)
  }
  return value
}

function timeoutOf(value: unknown, option: string): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw refused(option, 'a positive number of milliseconds', value)
  }
  return Math.ceil(value)
}

function refused(option: string, wanted: string, value: unknown): InvalidArgumentsException {
  return invalid(`database store option "${option}"`, wanted, value)
}

/**
 * @param kind - Of the store, for errors
 * @throws InvalidArgumentsException if that are no options
 */
export function assertOptions(options: unknown, kind: string): void {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentsException(
      `Invalid ${kind} store options: expected an object, got ${kindOf(options)}`
    )
  }
}

/**
 * @param kind - Of the store, for errors
 * @throws InvalidArgumentsException naming an option that isn't known
 */
export function assertKnown(options: RawOptions, known: readonly string[], kind: string): void {
  const strange = [...namesIn(options)].find((name) => !known.includes(name))
  if (strange !== undefined) {
    throw new InvalidArgumentsException(
      `Invalid ${kind} store options: the option "${strange}" isn't known`
    )
  }
}

/** A value's type, for errors: the value itself may contain a password. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return typeof value === 'object' ? 'another object' : typeof value
}

/** When a lease of so many milliseconds ends by the clock of the process: rounded up, as its holder believes it to last. */
export function endOfLease(ttl: number): number {
  return Date.now() + 1 + ttl
}
