/**
 * What differs between the databases that knex speaks to, as far as locks need it.
 */

/** SQL that knex is given as it is; `?` stands for bindings. */
export interface KnexDialect {
  /** The present in milliseconds since the Unix epoch by the database's clock; that of the process where there is none. */
  now?: string
  /** Whether one statement can insert a row or take over an expired one, and tells whether it did. */
  hasUpsert: boolean
  /** Whether texts that differ only in blanks at their end are the same key. */
  ignoresTrailingBlanks: boolean
  /** Whether knex numbers the bindings, so that a question mark in a name has to be marked. */
  numbersBindings?: boolean
  /** The type of the text columns; without it knex makes the table. */
  text?: string
  /** The type of the column for milliseconds. */
  integer: string
  /** Tells whether there is a table, by its quoted name or by its parts; without it knex looks. */
  findTable?: (quoted: string, parts: string[]) => { sql: string; bindings: string[] }
}

const POSTGRES: KnexDialect = {
  now: 'floor(extract(epoch from clock_timestamp()) * 1000)::bigint',
  hasUpsert: true,
  ignoresTrailingBlanks: false,
  numbersBindings: true,
  text: 'varchar(255)',
  integer: 'bigint',
  // Looks in the whole search path.
  findTable: (quoted) => ({
    sql: 'select 1 as found where to_regclass(?) is not null',
    bindings: [quoted],
  }),
}

const MYSQL: KnexDialect = {
  now: "timestampdiff(microsecond, '1970-01-01', utc_timestamp(3)) div 1000",
  hasUpsert: false,
  ignoresTrailingBlanks: true,
  text: 'varchar(255) character set utf8mb4 collate utf8mb4_bin',
  integer: 'bigint unsigned',
  findTable: (_, [table, schema]) => ({
    sql: `select 1 as found from information_schema.tables where table_name = ? and table_schema = ${schema === undefined ? 'database()' : '?'}`,
    bindings: schema === undefined ? [table] : [table, schema],
  }),
}

const SQLITE: KnexDialect = {
  hasUpsert: true,
  ignoresTrailingBlanks: false,
  text: 'varchar(255)',
  integer: 'bigint',
  findTable: (_, [table]) => ({
    sql: "select 1 as found from sqlite_master where type = 'table' and lower(name) = lower(?)",
    bindings: [table],
  }),
}

/** Any other: one step after another, by the clock of the process. */
const OTHER: KnexDialect = {
  hasUpsert: false,
  ignoresTrailingBlanks: true,
  numbersBindings: true,
  integer: 'bigint',
}

const DIALECTS: Record<string, KnexDialect> = {
  postgresql: POSTGRES,
  cockroachdb: POSTGRES,
  mysql: MYSQL,
  mariadb: MYSQL,
  sqlite3: SQLITE,
}

/**
 * @param name - What knex calls the dialect of a client
 */
export function dialectOf(name: unknown): KnexDialect {
  return (typeof name === 'string' && Object.hasOwn(DIALECTS, name) && DIALECTS[name]) || OTHER
}
