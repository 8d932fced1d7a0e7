import { recognizeCopies } from '../../copies.js'
import type { KnexConnection } from '../../types/main.js'
import { Name, Sql } from './sql.js'
import { MYSQL, OTHER, POSTGRES, SQLITE } from './sql_dialects.js'
import type { SqlDialect } from './sql_dialects.js'
import { createFencesStatement, createStatement } from './statements.js'
import { TableAdapter } from './table_adapter.js'
import { fencesOf } from './table_client.js'
import type { FenceNames, RowValues, TableClient } from './table_client.js'

/** Gives the knex instance for each statement, since the app may replace it. */
export class KnexSource {
  constructor(readonly current: () => KnexConnection | Promise<KnexConnection>) {}
}

/** What is used of knex, which isn't loaded here. */
interface Query extends PromiseLike<unknown> {
  where(condition: unknown): Query
  select(...columns: string[]): Query
  insert(row: object): Query
  update(row: object): Query
  delete(): Query
}

interface Knex {
  (table: unknown): Query
  raw(sql: string, bindings?: readonly unknown[]): PromiseLike<unknown>
  transaction<T>(run: (transaction: Knex) => Promise<T>): Promise<T>
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

/** By what knex calls the dialect of a client. */
const DIALECTS: Record<string, SqlDialect> = {
  postgresql: POSTGRES,
  cockroachdb: POSTGRES,
  mysql: MYSQL,
  mariadb: MYSQL,
  sqlite3: SQLITE,
}

/**
 * Lets a `DatabaseStore` keep its locks over a knex instance, of any dialect.
 */
export class KnexAdapter extends TableAdapter {
  readonly #source: KnexSource

  /**
   * @param connection - A knex instance, or a transaction of one
   */
  constructor(connection: KnexConnection) {
    super()
    // Only this package makes one of a source.
    const given: unknown = connection
    this.#source = given instanceof KnexSource ? given : new KnexSource(() => connection)
  }

  protected async open(place: readonly string[]): Promise<TableClient> {
    return new KnexClient((await this.#source.current()) as unknown as Knex, place)
  }
}

recognizeCopies(KnexAdapter, 'KnexAdapter')

class KnexClient implements TableClient {
  readonly dialect: SqlDialect
  readonly table: Name
  readonly key = new Name(['key'])
  readonly owner = new Name(['owner'])
  readonly expiration = new Name(['expiration'])
  readonly fences: FenceNames
  readonly #knex: Knex
  readonly #place: readonly string[]

  constructor(knex: Knex, place: readonly string[]) {
    const { dialect } = knex.client
    this.#knex = knex
    this.#place = place
    this.fences = { table: new Name(fencesOf(place)), key: this.key, token: new Name(['token']) }
    this.table = new Name(place)
    this.dialect =
      (typeof dialect === 'string' && Object.hasOwn(DIALECTS, dialect) && DIALECTS[dialect]) ||
      OTHER
  }

  async query(statement: Sql): Promise<unknown[]> {
    return resultRows(await this.#raw(statement))
  }

  async insert(row: RowValues): Promise<unknown> {
    return this.#rows().insert(this.#values(row))
  }

  async update(values: RowValues, where: Sql): Promise<number> {
    return Number(await this.#rows().where(this.#raw(where)).update(this.#values(values)))
  }

  async remove(where: Sql): Promise<number> {
    return Number(await this.#rows().where(this.#raw(where)).delete())
  }

  async select(where: Sql): Promise<unknown[]> {
    const rows = await this.#rows().where(this.#raw(where)).select('owner', 'expiration')
    return Array.isArray(rows) ? rows : []
  }

  async hasTable({ parts }: Name): Promise<boolean> {
    const { findTable } = this.dialect
    if (!findTable) return this.#schema().hasTable(parts.at(-1)!)
    const { config, wrapIdentifier } = this.#knex.client
    const written = (name: string) => config?.wrapIdentifier?.(name, asItIs) ?? name
    const quoted = parts.map((name) => wrapIdentifier?.call(this.#knex.client, name) ?? name)
    const names = parts.map(written).reverse()
    const found = await this.query(findTable(quoted.join('.'), names))
    return found.length > 0
  }

  async createTable(): Promise<unknown> {
    if (this.dialect !== OTHER) return this.query(createStatement(this))
    return this.#schema().createTable(this.table.parts.at(-1)!, (table) => {
      table.string('key', 255).notNullable().primary()
      table.string('owner', 255).notNullable()
      table.bigint('expiration').nullable()
    })
  }

  async createFences(): Promise<unknown> {
    if (this.dialect !== OTHER) return this.query(createFencesStatement(this))
    return this.#schema().createTable(this.fences.table.parts.at(-1)!, (table) => {
      table.string('key', 255).notNullable().primary()
      table.bigint('token').notNullable()
    })
  }

  transaction<T>(run: (client: TableClient) => Promise<T>): Promise<T> {
    return this.#knex.transaction((inner) => run(new KnexClient(inner, this.#place)))
  }

  #rows(): Query {
    return this.#knex(this.#quote(this.table))
  }

  #schema(): Schema {
    const { schema } = this.#knex
    const { parts } = this.table
    return parts.length > 1 ? schema.withSchema(parts.slice(0, -1).join('.')) : schema
  }

  #values({ expiration, ...others }: RowValues): object {
    if (expiration === undefined) return others
    return { ...others, expiration: expiration instanceof Sql ? this.#raw(expiration) : expiration }
  }

  #raw({ texts, holes }: Sql): PromiseLike<unknown> {
    const bindings = holes.map((hole) => (hole instanceof Name ? this.#quote(hole) : hole))
    return this.#knex.raw(texts.join('?'), bindings)
  }

  #quote({ parts }: Name): unknown {
    const { client } = this.#knex
    const quoted = parts.map((name) => client.wrapIdentifier?.(name) ?? name).join('.')
    // Where knex numbers the bindings, a question mark in a name has to be marked.
    const isNumbered = this.dialect !== MYSQL && this.dialect !== SQLITE
    return this.#knex.raw(isNumbered ? quoted.replaceAll('?', '\\?') : quoted)
  }
}

/** What a raw statement of any driver returns. */
function resultRows(result: unknown): unknown[] {
  const { rows } = (result ?? {}) as { rows?: unknown }
  if (Array.isArray(rows)) return rows
  if (!Array.isArray(result)) return []
  return Array.isArray(result[0]) ? (result[0] as unknown[]) : result
}

function asItIs(name: string): string {
  return name
}
