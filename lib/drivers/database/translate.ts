/**
 * From a config of knex to the settings of native connections.
 *
 * Whatever isn't understood to the last detail isn't guessed at: the translation then tells which option is the reason
 * why the store has to run on the app's own connection.
 */
import { types } from 'node:util'

import { index } from '../translation/rows.js'
import {
  Untranslatable,
  assertTranslatable,
  cannot,
  isSet,
  millisOf,
} from '../translation/values.js'
import type { RawOptions } from '../translation/values.js'
import { translateMysql } from './mysql.js'
import type { TableSettings } from './options.js'
import { KNEX_OPTIONS, POOL_OPTIONS } from './options_table.js'
import { translatePostgres } from './postgres.js'
import type { DatabaseSettings, Native, ServerSettings } from './settings.js'
import { assertSharable, translateSqlite } from './sqlite.js'
import { parseMysqlUrl, parsePostgresUrl, parseSqliteUrl } from './url.js'

const KNEX_ROWS = index(KNEX_OPTIONS)
const POOL_ROWS = index(POOL_OPTIONS)

/** Unless more or fewer are asked for. */
const POOL_SIZE = 4

/** Milliseconds. */
const CONNECT_TIMEOUT = 5_000
const BUSY_TIMEOUT = 5_000

/** What a driver's options and its URLs are read by. */
interface Dialect {
  translate(connection: RawOptions, client: string): ServerSettings
  parse(url: string): RawOptions
}

const POSTGRES: Dialect = {
  translate: translatePostgres,
  parse: (url) => parsePostgresUrl(url, false),
}
const MYSQL: Dialect = { translate: translateMysql, parse: parseMysqlUrl }
const SQLITE: Dialect = { translate: translateSqlite, parse: parseSqliteUrl }

const DIALECTS: Record<string, Dialect> = {
  'pg': POSTGRES,
  'postgres': POSTGRES,
  'postgresql': POSTGRES,
  'mysql': MYSQL,
  'mysql2': MYSQL,
  'sqlite': SQLITE,
  'sqlite3': SQLITE,
  'better-sqlite3': SQLITE,
}

/** What knex quotes names with; here they are wanted as they are. */
const asItIs = (name: string) => name

const COLUMNS = ['key', 'owner', 'expiration']

/**
 * Translates a config as `knex()` takes it.
 */
export function translateKnex(config: RawOptions, store: TableSettings): Native {
  const client = clientIn(config)
  const dialect = DIALECTS[client]
  const { searchPath, wrapIdentifier } = config
  assertTranslatable(config, KNEX_ROWS)
  const connection = told(config.connection)
  if (!isSet(connection)) throw new Untranslatable('there is no option "connection"')
  const options =
    typeof connection === 'string' ? dialect.parse(connection) : (connection as RawOptions)

  const server = dialect.translate(options, client)
  const { statementTimeout, ...found } = server
  const settings: DatabaseSettings = {
    ...found,
    ...namesOf(store.place, server, wrapIdentifier),
    autoCreateTable: store.autoCreateTable,
    pgbouncer: store.pgbouncer || server.pgbouncer,
    connectTimeout: store.connectTimeout ?? server.connectTimeout ?? CONNECT_TIMEOUT,
    commandTimeout: Math.min(store.commandTimeout, statementTimeout ?? store.commandTimeout),
    poolSize: store.poolSize ?? poolSizeOf(config.pool),
    busyTimeout: Math.min(store.commandTimeout, BUSY_TIMEOUT),
  }
  if (server.kind === 'postgres') settings.searchPath = searchPathOf(searchPath) ?? found.searchPath
  return { kind: 'native', settings, warnings: [] }
}

/**
 * The same for a config that the app's own knex uses in this process, too.
 */
export function translateShared(config: RawOptions, store: TableSettings): Native {
  const native = translateKnex(config, store)
  if (native.settings.kind === 'sqlite') assertSharable()
  return native
}

/**
 * The writer's config of a connection in `config/database.ts`.
 */
export function writerConfigOf({ replicas, ...config }: RawOptions): RawOptions {
  const { write } = (replicas ?? {}) as { write?: { connection?: unknown; pool?: object } }
  if (write === undefined) return config
  const isText = [write.connection, config.connection].some((one) => typeof one === 'string')
  config.connection = isText
    ? write.connection
    : { ...(config.connection as object | undefined), ...(write.connection as object | undefined) }
  if (config.pool !== undefined || write.pool !== undefined) {
    config.pool = { ...(config.pool as object | undefined), ...write.pool }
  }
  return config
}

/** What a function tells, which knex calls once unless its answer expires. */
function told(connection: unknown): unknown {
  if (typeof connection !== 'function') return connection
  const answer: unknown = types.isAsyncFunction(connection) ? Promise.resolve() : connection()
  if (!(answer instanceof Promise)) return answer
  // knex will ask again, and hear of what goes wrong.
  answer.catch(() => {})
  throw cannot('connection', 'a function tells it later')
}

function clientIn(config: RawOptions): string {
  const client = config.client || config.dialect
  if (typeof client === 'string' && Object.hasOwn(DIALECTS, client)) return client
  if (typeof client === 'string') {
    throw new Untranslatable(`the client "${client}" has no native counterpart`)
  }
  throw typeof client === 'function'
    ? cannot('client', 'a class of the app speaks to the database')
    : new Untranslatable('there is no option "client"')
}

function searchPathOf(value: unknown): string[] | undefined {
  if (!isSet(value)) return undefined
  const path: unknown[] = Array.isArray(value) ? value : [value]
  if (!path.every((name) => typeof name === 'string')) throw cannot('searchPath', 'it is no text')
  return path.length > 0 ? path : undefined
}

/** The names of schema and table as knex would quote them. */
function namesOf(
  place: string[],
  { kind }: ServerSettings,
  wrapIdentifier: unknown
): { schema?: string; table: string } {
  const [table, schema, ...others] = place.map(wrapperOf(wrapIdentifier)).reverse()
  if (others.length > 0) throw new Untranslatable('the table is in another database')
  if (kind !== 'sqlite') return { schema, table }
  if (schema !== undefined && schema !== 'main') {
    throw new Untranslatable('the table is in an attached database')
  }
  return { table }
}

function wrapperOf(wrapIdentifier: unknown): (name: string) => string {
  if (!isSet(wrapIdentifier)) return asItIs
  if (typeof wrapIdentifier !== 'function') throw cannot('wrapIdentifier', 'it is no function')
  const wrap = (name: string) => {
    const wrapped: unknown = wrapIdentifier(name, asItIs, undefined)
    if (typeof wrapped !== 'string') throw cannot('wrapIdentifier', 'it returns no text')
    return wrapped
  }
  const changed = COLUMNS.find((column) => wrap(column) !== column)
  if (changed !== undefined) throw cannot('wrapIdentifier', 'it changes the names of columns')
  return wrap
}

function poolSizeOf(pool: unknown): number {
  if (!isSet(pool)) return POOL_SIZE
  assertTranslatable(pool as RawOptions, POOL_ROWS, 'pool.')
  return Math.max(1, Math.min(POOL_SIZE, millisOf((pool as RawOptions).max, 0) || POOL_SIZE))
}
