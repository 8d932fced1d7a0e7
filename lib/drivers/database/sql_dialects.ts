/**
 * What differs between the databases that the clients of an app speak to, as far as locks need it.
 */
import { raw, sql } from './sql.js'
import type { Sql } from './sql.js'

export interface SqlDialect {
  /** The present in milliseconds since the Unix epoch by the database's clock; that of the process where there is none. */
  now?: Sql
  /** The same, rounded up: what a lease is counted from, so that it doesn't end before its holder believes. */
  start?: Sql
  /** The present in microseconds since the Unix epoch by the database's clock. */
  micros?: Sql
  /** Whether one statement can insert a row or take over an expired one, and tells whether it did. */
  hasUpsert: boolean
  /** Whether a statement can begin with another one that changes something. */
  changesInQuery?: boolean
  /** Whether texts that differ only in blanks at their end are the same key. */
  ignoresTrailingBlanks: boolean
  /** Whether `create table` may say `if not exists`. */
  hasIfNotExists: boolean
  /** The type of the columns for keys and owners. */
  text: Sql
  /** The type of the column for milliseconds. */
  integer: Sql
  /** Tells by a row whether there is a table, by its quoted name or by its parts, innermost first; without it the client looks. */
  findTable?: (quoted: string, parts: readonly string[]) => Sql
}

export const POSTGRES: SqlDialect = {
  now: raw('floor(extract(epoch from clock_timestamp()) * 1000)::bigint'),
  start: raw('ceil(extract(epoch from clock_timestamp()) * 1000)::bigint'),
  micros: raw('floor(extract(epoch from clock_timestamp()) * 1000000)::bigint'),
  hasUpsert: true,
  changesInQuery: true,
  ignoresTrailingBlanks: false,
  hasIfNotExists: true,
  text: raw('varchar(255)'),
  integer: raw('bigint'),
  // Looks in the whole search path.
  findTable: (quoted) => sql`select 1 as found where to_regclass(${quoted}) is not null`,
}

export const MYSQL: SqlDialect = {
  now: raw("timestampdiff(microsecond, '1970-01-01', utc_timestamp(3)) div 1000"),
  start: raw("timestampdiff(microsecond, '1970-01-01', utc_timestamp(3)) div 1000 + 1"),
  micros: raw("timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))"),
  hasUpsert: false,
  ignoresTrailingBlanks: true,
  hasIfNotExists: true,
  text: raw('varchar(255) character set utf8mb4 collate utf8mb4_bin'),
  integer: raw('bigint unsigned'),
  findTable: (_, [table, schema]) =>
    sql`select 1 as found from information_schema.tables where table_name = ${table} and table_schema = ${schema ?? raw('database()')}`,
}

export const SQLITE: SqlDialect = {
  hasUpsert: true,
  ignoresTrailingBlanks: false,
  hasIfNotExists: true,
  text: raw('varchar(255)'),
  integer: raw('bigint'),
  findTable: (_, [table]) =>
    sql`select 1 as found from sqlite_master where type = 'table' and lower(name) = lower(${table})`,
}

/** Any other: one step after another, by the clock of the process. */
export const OTHER: SqlDialect = {
  hasUpsert: false,
  ignoresTrailingBlanks: true,
  hasIfNotExists: true,
  text: raw('varchar(255)'),
  integer: raw('bigint'),
}

/** SQL Server. Its texts are compared without regard to case unless the collation says otherwise. */
export const MSSQL: SqlDialect = {
  ...OTHER,
  hasIfNotExists: false,
  text: raw('nvarchar(255) collate Latin1_General_100_BIN2'),
}
