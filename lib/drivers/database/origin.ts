/**
 * Where a store's settings come from, and what it falls back to.
 */
import { InvalidArgumentsException } from '../../errors.js'
import type {
  DatabaseStoreOptions,
  KnexConnection,
  KnexStoreOptions,
  LockStore,
} from '../../types/main.js'
import { tryTranslating } from '../translation/values.js'
import type { RawOptions } from '../translation/values.js'
import { translateInstance } from './instance.js'
import { KnexAdapter, KnexSource } from './knex_adapter.js'
import { assertKnown, assertOptions, kindOf, STORE_OPTIONS, tableSettingsOf } from './options.js'
import type { TableSettings } from './options.js'
import type { Translation } from './settings.js'
import { storeAt } from './table_store.js'
import { translateKnex, translateShared, writerConfigOf } from './translate.js'
import { clientOf, parseMysqlUrl, parsePostgresUrl, parseSqliteUrl } from './url.js'

/** What says where the database is; the other options are those of the store. */
const PLACE_OPTIONS = ['url', 'client', 'connection', 'searchPath', 'pool']

/** Rows with the same key are nothing special there, so that two could hold one lock. */
const WITHOUT_KEYS = ['redshift']

export class DatabaseOrigin {
  constructor(
    readonly translation: Translation,
    /** Whether locks are fenced unless they say otherwise. */
    readonly fencing: boolean,
    /** The same locks over the app's own connection; nothing where there is none. */
    readonly connection?: () => LockStore
  ) {}

  /**
   * Options of `knexStore`, with a knex instance.
   *
   * @throws InvalidArgumentsException if the options can't be used
   */
  static ofKnex(options: KnexStoreOptions): DatabaseOrigin {
    assertOptions(options, 'knex')
    const { connection, ...others } = options as unknown as RawOptions
    assertKnown(others, [...STORE_OPTIONS], 'knex')
    if (!isKnex(connection)) {
      throw new InvalidArgumentsException(
        `Invalid knex store option "connection": expected a knex instance, got ${kindOf(connection)}`
      )
    }
    const { client } = connection as { client?: { dialect?: unknown } }
    assertSupported(client?.dialect)
    const store = tableSettingsOf(others)
    const source = new KnexSource(() => connection)
    const translation = translateInstance(connection, store)
    return new DatabaseOrigin(translation, store.fencing, () => fallback(source, store))
  }

  /**
   * A connection of `config/database.ts`.
   *
   * @param current - Gives the app's knex instance for each statement
   * @throws InvalidArgumentsException if the options can't be used
   */
  static ofConfig(
    config: object,
    options: RawOptions,
    current: () => KnexConnection | Promise<KnexConnection>
  ): DatabaseOrigin {
    const store = tableSettingsOf(options)
    const writer = writerConfigOf(config as RawOptions)
    assertSupported(writer.client)
    const translation = tryTranslating(() => translateShared(writer, store))
    const connection = () => fallback(new KnexSource(current), store)
    return new DatabaseOrigin(translation, store.fencing, connection)
  }

  /**
   * Options of `databaseStore`: a URL, or what `knex()` takes.
   *
   * @throws InvalidArgumentsException if the options can't be used
   */
  static ofOptions(options: DatabaseStoreOptions): DatabaseOrigin {
    assertOptions(options, 'database')
    const given = options as RawOptions
    assertKnown(given, [...STORE_OPTIONS, ...PLACE_OPTIONS], 'database')
    if (isKnex(given.connection)) {
      throw new InvalidArgumentsException(
        'Invalid database store option "connection": a knex instance is for knexStore({ connection })'
      )
    }
    const store = tableSettingsOf(given)
    const { searchPath, pool } = given
    const result = tryTranslating(() =>
      translateKnex({ ...clientAndConnection(given), searchPath, pool }, store)
    )
    if (result.kind === 'native') return new DatabaseOrigin(result, store.fencing)
    throw new InvalidArgumentsException(
      `Invalid database store options: ${result.reason}. With a knex instance it works: knexStore({ connection })`
    )
  }
}

/**
 * @throws InvalidArgumentsException if it isn't said which database it is
 */
function clientAndConnection({ url, client, connection }: RawOptions): RawOptions {
  const text = url ?? (typeof connection === 'string' ? connection : undefined)
  if (text === undefined) {
    const isFile = typeof (connection as RawOptions | undefined)?.filename === 'string'
    const known = client ?? (isFile ? 'better-sqlite3' : undefined)
    if (known !== undefined && typeof connection === 'object') return { client: known, connection }
    throw new InvalidArgumentsException(
      'Invalid database store options: expected a "url", or a "client" and a "connection"'
    )
  }
  const known = typeof text === 'string' && text !== '' ? (client ?? clientOf(text)) : undefined
  const parsed = known === undefined ? undefined : parse(text as string, known)
  if (parsed === undefined) {
    // Not shown: there may be a password in it.
    throw new InvalidArgumentsException(
      `Invalid database store option "${url === undefined ? 'connection' : 'url'}": expected a URL such as ` +
        'postgres://user:password@host:5432/database, mysql://user:password@host:3306/database or sqlite:locks.db'
    )
  }
  const others = typeof connection === 'object' ? connection : {}
  return { client: known, connection: { ...others, ...parsed } }
}

function parse(url: string, client: unknown): RawOptions | undefined {
  try {
    const options = /^(pg|postgres)/.test(String(client))
      ? parsePostgresUrl(url, true)
      : /^mysql/.test(String(client))
        ? parseMysqlUrl(url)
        : parseSqliteUrl(url)
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  } catch (error) {
    if (error instanceof TypeError || error instanceof URIError) return undefined
    throw error
  }
}

function fallback(source: KnexSource, store: TableSettings): LockStore {
  return storeAt(new KnexAdapter(source as unknown as KnexConnection), store)
}

function isKnex(value: unknown): value is KnexConnection {
  return (
    (typeof value === 'function' || (typeof value === 'object' && value !== null)) &&
    typeof (value as { raw?: unknown }).raw === 'function' &&
    'client' in value
  )
}

function assertSupported(dialect: unknown): void {
  if (WITHOUT_KEYS.includes(dialect as string)) {
    throw new InvalidArgumentsException(
      `Invalid database store: "${dialect as string}" lets two rows have the same primary key, so no lock can be kept there`
    )
  }
}
