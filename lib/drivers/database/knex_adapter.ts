import type { AtomicDatabaseAdapter, KnexConnection } from '../../types/main.js'
import { isKeyConflict, isMissingTable } from './driver_errors.js'
import { dialectOf } from './knex_dialects.js'
import type { KnexDialect } from './knex_dialects.js'

/** Gives the knex instance for each statement, since the app may replace it. */
export class KnexSource {
  constructor(readonly current: () => KnexConnection | Promise<KnexConnection>) {}
}

type Lock = { key: string; owner: string; expiration: number | null }

/** What is used of knex, which isn't loaded here. */
interface Query extends PromiseLike<unknown> {
  where(column: string, value: unknown): Query
  where(condition: (query: Query) => void): Query
  where(column: string, operator: string, value: unknown): Query
  orWhere(column: string, operator: string, value: unknown): Query
  whereNull(column: string): Query
  select(...columns: string[]): Query
  limit(count: number): Query
  insert(row: object): Query
  update(row: object): Query
  delete(): Query
}

interface Knex {
  (table: unknown): Query
  raw(sql: string, bindings?: readonly unknown[]): PromiseLike<unknown>
  readonly client: {
    dialect?: unknown
    config?: { wrapIdentifier?: (name: string, quote: (name: string) => string) => string }
    wrapIdentifier?(name: string): string
  }
  readonly schema: Schema
}

interface Schema {
  withSchema(name: string): Schema
  hasTable(name: string): PromiseLike<boolean>
  createTable(name: string, define: (table: TableBuilder) => void): PromiseLike<unknown>
}

interface TableBuilder {
  string(name: string, length: number): ColumnBuilder
  bigint(name: string): ColumnBuilder
}

interface ColumnBuilder {
  notNullable(): ColumnBuilder
  nullable(): ColumnBuilder
  primary(): ColumnBuilder
}

/** A knex instance and what is known of its database. */
interface Session {
  knex: Knex
  dialect: KnexDialect
  /** The table, quoted. */
  table: string
  column(name: string): string
}

/**
 * Lets a `DatabaseStore` keep its locks over a knex instance, of any dialect.
 */
export class KnexAdapter implements AtomicDatabaseAdapter {
  readonly #source: KnexSource
  /** The table, behind whatever it is in. */
  #place: string[] = ['verrou']

  /**
   * @param connection - A knex instance, or a transaction of one
   */
  constructor(connection: KnexConnection) {
    // Only this package makes one of a source.
    const given: unknown = connection
    this.#source = given instanceof KnexSource ? given : new KnexSource(() => connection)
  }

  /**
   * Sets the table that holds the locks. A dot separates it from the schema that it is in.
   */
  setTableName(tableName: string): void {
    const parts = tableName.split('.').map((part) => part.trim())
    this.#place = parts.includes('') ? [tableName] : parts
  }

  /** Sets the table and what it is in, outermost first. */
  setPlace(place: string[]): void {
    this.#place = place
  }

  /**
   * Creates the table unless it exists; several processes may do so at once.
   */
  async createTableIfNotExists(): Promise<void> {
    const session = await this.#open()
    if (await this.#hasTable(session)) return
    try {
      await this.#createTable(session)
    } catch (error) {
      // Another process was faster.
      if (!(await this.#hasTable(session))) throw error
    }
  }

  async insertLock(lock: Lock): Promise<void> {
    const { knex, table } = await this.#open()
    await rowsOf(knex, table).insert(lock)
  }

  async acquireLock({ key, owner, expiration }: Lock): Promise<number> {
    const { knex, table } = await this.#open()
    const query = rowsOf(knex, table).where('key', key).where('expiration', '<=', Date.now())
    return Number(await query.update({ owner, expiration }))
  }

  async deleteLock(key: string, owner?: string): Promise<void> {
    const { knex, table } = await this.#open()
    const query = rowsOf(knex, table).where('key', key)
    await (owner === undefined ? query : query.where('owner', owner)).delete()
  }

  async extendLock(key: string, owner: string, duration: number): Promise<number> {
    const isDone = await this.renewLock(key, owner, duration)
    return Number(isDone)
  }

  async getLock(key: string): Promise<{ owner: string; expiration: number | null } | undefined> {
    const { knex, table } = await this.#open()
    const query = rowsOf(knex, table).where('key', key).select('owner', 'expiration').limit(1)
    const [row] = (await query) as Record<string, unknown>[]
    if (row === undefined) return undefined
    // Oracle's names, and those that the app has made of them, may be written otherwise.
    const values = Object.fromEntries(
      Object.entries(row).map(([name, value]) => [name.toLowerCase(), value])
    )
    const { owner, expiration } = values
    return { owner: String(owner), expiration: expiration === null ? null : Number(expiration) }
  }

  async ignoresTrailingBlanks(): Promise<boolean> {
    const { dialect } = await this.#open()
    return dialect.ignoresTrailingBlanks
  }

  async saveLock(key: string, owner: string, ttl: number | null): Promise<boolean> {
    const session = await this.#open()
    if (session.dialect.hasUpsert) return upsert(session, key, owner, ttl)
    const { knex, table } = session
    try {
      await rowsOf(knex, table).insert({ key, owner, expiration: endOf(session, ttl) })
      return true
    } catch (error) {
      if (isMissingTable(error)) throw error
      // An error that isn't known may be one of the key: then there is a row.
      if (!isKeyConflict(error) && (await this.getLock(key)) === undefined) throw error
    }
    const expired = rowsOf(knex, table).where('key', key).where('expiration', '<=', nowOf(session))
    const count = await expired.update({ owner, expiration: endOf(session, ttl) })
    return Number(count) > 0
  }

  async releaseLock(key: string, owner: string): Promise<boolean> {
    const session = await this.#open()
    return Number(await live(session, key).where('owner', owner).delete()) > 0
  }

  async renewLock(key: string, owner: string, duration: number): Promise<boolean> {
    const session = await this.#open()
    const held = () => live(session, key).where('owner', owner)
    const count = await held().update({ expiration: endOf(session, duration) })
    // MySQL may count rows only whose values have changed.
    return Number(count) > 0 || hasRows(await held().select('owner').limit(1))
  }

  async isLocked(key: string): Promise<boolean> {
    const session = await this.#open()
    return hasRows(await live(session, key).select('owner').limit(1))
  }

  async #open(): Promise<Session> {
    const knex = (await this.#source.current()) as unknown as Knex
    const dialect = dialectOf(knex.client.dialect)
    const quote = (name: string) => {
      const quoted = knex.client.wrapIdentifier?.(name) ?? name
      return dialect.numbersBindings ? quoted.replaceAll('?', '\\?') : quoted
    }
    return {
      knex,
      dialect,
      table: this.#place.map(quote).join('.'),
      column: quote,
    }
  }

  async #hasTable({ knex, dialect, table }: Session): Promise<boolean> {
    const { wrapIdentifier } = knex.client.config ?? {}
    const names = this.#place.map((name) => wrapIdentifier?.(name, asItIs) ?? name).reverse()
    if (!dialect.findTable) return schemaOf(knex, this.#place).hasTable(this.#place.at(-1)!)
    const { sql, bindings } = dialect.findTable(unescaped(table), names)
    return resultRows(await knex.raw(sql, bindings)).length > 0
  }

  async #createTable({ knex, dialect, table, column }: Session): Promise<void> {
    const { text, integer } = dialect
    if (text === undefined) {
      await schemaOf(knex, this.#place).createTable(this.#place.at(-1)!, (builder) => {
        builder.string('key', 255).notNullable().primary()
        builder.string('owner', 255).notNullable()
        builder.bigint('expiration').nullable()
      })
      return
    }
    await knex.raw(
      `create table if not exists ${table} (${column('key')} ${text} not null primary key, ` +
        `${column('owner')} ${text} not null, ${column('expiration')} ${integer} null)`
    )
  }
}

async function upsert(session: Session, key: string, owner: string, ttl: number | null) {
  const { knex, table, column, dialect } = session
  const [keyColumn, ownerColumn, endColumn] = ['key', 'owner', 'expiration'].map(column)
  const now = dialect.now ?? '?'
  const clock = dialect.now === undefined ? [Date.now()] : []
  const end = ttl === null ? 'null' : `${now} + ?`
  const rows = await knex.raw(
    `insert into ? as held (${keyColumn}, ${ownerColumn}, ${endColumn}) values (?, ?, ${end}) ` +
      `on conflict (${keyColumn}) do update ` +
      `set ${ownerColumn} = excluded.${ownerColumn}, ${endColumn} = excluded.${endColumn} ` +
      `where held.${endColumn} <= ${now} returning ${ownerColumn}`,
    [knex.raw(table), key, owner, ...(ttl === null ? [] : [...clock, ttl]), ...clock]
  )
  return resultRows(rows).length > 0
}

function rowsOf(knex: Knex, table: string): Query {
  return knex(knex.raw(table))
}

/** The row of a key unless it has expired. */
function live(session: Session, key: string): Query {
  return rowsOf(session.knex, session.table)
    .where('key', key)
    .where((query) => {
      query.whereNull('expiration').orWhere('expiration', '>', nowOf(session))
    })
}

function nowOf({ knex, dialect }: Session): unknown {
  return dialect.now === undefined ? Date.now() : knex.raw(dialect.now)
}

function endOf({ knex, dialect }: Session, ttl: number | null): unknown {
  if (ttl === null) return null
  return dialect.now === undefined ? Date.now() + ttl : knex.raw(`${dialect.now} + ?`, [ttl])
}

function schemaOf(knex: Knex, place: string[]): Schema {
  return place.length > 1 ? knex.schema.withSchema(place.slice(0, -1).join('.')) : knex.schema
}

/** What a raw statement of any driver returns. */
function resultRows(result: unknown): unknown[] {
  const { rows } = (result ?? {}) as { rows?: unknown }
  if (Array.isArray(rows)) return rows
  if (!Array.isArray(result)) return []
  return Array.isArray(result[0]) ? (result[0] as unknown[]) : result
}

function hasRows(rows: unknown): boolean {
  return Array.isArray(rows) && rows.length > 0
}

function asItIs(name: string): string {
  return name
}

function unescaped(quoted: string): string {
  return quoted.replaceAll('\\?', '?')
}
