import { recognizeCopies } from '../../copies.js'
import type { KyselyConnection } from '../../types/main.js'
import { dialectOf } from './kysely_dialects.js'
import type { KyselyExecutor, OperationNode } from './kysely_dialects.js'
import { Name, Sql, sql } from './sql.js'
import type { SqlDialect } from './sql_dialects.js'
import { createFencesStatement, createStatement } from './statements.js'
import { TableAdapter } from './table_adapter.js'
import { fencesOf } from './table_client.js'
import type { FenceNames, RowValues, TableClient } from './table_client.js'

/** What is used of kysely, which isn't loaded here. */
interface Kysely {
  readonly isTransaction: boolean
  transaction(): { execute<T>(run: (transaction: Kysely) => Promise<T>): Promise<T> }
  getExecutor(): KyselyExecutor
  executeQuery(query: unknown): Promise<{ rows: unknown[]; numAffectedRows?: bigint }>
  withoutPlugins(): Kysely
}

const COLUMNS = ['key', 'owner', 'expiration'] as const
const FENCE_COLUMNS = ['key', 'token'] as const

/** What plugins may keep results by. */
const QUERY_ID = { queryId: 'loquet' }

/**
 * Lets a `DatabaseStore` keep its locks over a Kysely instance, of any dialect.
 */
export class KyselyAdapter extends TableAdapter {
  readonly #connection: Kysely
  #client: { place: readonly string[]; client: KyselyClient } | undefined

  /**
   * Asks nothing of the database yet.
   *
   * @param connection - A Kysely instance, or a transaction of one
   */
  constructor(connection: KyselyConnection) {
    super()
    this.#connection = connection as unknown as Kysely
  }

  protected open(place: readonly string[]): TableClient {
    if (this.#client?.place !== place) {
      this.#client = { place, client: new KyselyClient(this.#connection, place) }
    }
    return this.#client.client
  }
}

recognizeCopies(KyselyAdapter, 'KyselyAdapter')

/**
 * Writes statements as the nodes that Kysely makes them of. The app's plugins see none of them, except for the names: table
 * and columns are what they are for all queries of the app.
 */
class KyselyClient implements TableClient {
  readonly dialect: SqlDialect
  readonly table: Name
  readonly key: Name
  readonly owner: Name
  readonly expiration: Name
  readonly fences: FenceNames
  readonly #connection: Kysely
  readonly #place: readonly string[]
  readonly #kysely: Kysely

  constructor(connection: Kysely, place: readonly string[]) {
    const executor = connection.getExecutor()
    ;[this.table, this.key, this.owner, this.expiration] = namesOf(executor, place, COLUMNS)
    const [table, key, token] = namesOf(executor, fencesOf(place), FENCE_COLUMNS)
    this.fences = { table, key, token }
    this.#connection = connection
    this.#place = place
    this.#kysely = connection.withoutPlugins()
    this.dialect = dialectOf(executor)
  }

  async query(statement: Sql): Promise<unknown[]> {
    const { rows } = await this.#send(nodeOf(statement))
    return rows
  }

  async insert(row: RowValues): Promise<unknown> {
    const values = this.#columns(row)
    return this.#send({
      kind: 'InsertQueryNode',
      into: nodeOf(this.table),
      columns: values.map(([column]) => nodeOf(column)),
      values: {
        kind: 'ValuesNode',
        values: [{ kind: 'ValueListNode', values: values.map(([, value]) => nodeOf(value)) }],
      },
    })
  }

  async update(row: RowValues, where: Sql): Promise<number> {
    const updates = this.#columns(row).map(([column, value]) => ({
      kind: 'ColumnUpdateNode',
      column: nodeOf(column),
      value: nodeOf(value),
    }))
    return this.#count({
      kind: 'UpdateQueryNode',
      table: nodeOf(this.table),
      updates,
      where: whereNode(where),
    })
  }

  async remove(where: Sql): Promise<number> {
    return this.#count({ kind: 'DeleteQueryNode', from: this.#from(), where: whereNode(where) })
  }

  async select(where: Sql): Promise<unknown[]> {
    const selections = [this.owner, this.expiration].map((column) => ({
      kind: 'SelectionNode',
      selection: nodeOf(column),
    }))
    const query = { kind: 'SelectQueryNode', from: this.#from(), selections }
    const { rows } = await this.#send({ ...query, where: whereNode(where) })
    return rows
  }

  async hasTable(table: Name): Promise<boolean> {
    const { findTable } = this.dialect
    if (findTable) {
      const { sql: quoted } = this.#compile(nodeOf(sql`${table}`))
      const found = await this.query(findTable(quoted, table.parts.toReversed()))
      return found.length > 0
    }
    try {
      await this.query(sql`select ${this.key} from ${table} where 1 = 0`)
      return true
    } catch {
      // Whatever it is, creating the table will say what.
      return false
    }
  }

  async createTable(): Promise<unknown> {
    return this.query(createStatement(this))
  }

  async createFences(): Promise<unknown> {
    return this.query(createFencesStatement(this))
  }

  transaction<T>(run: (client: TableClient) => Promise<T>): Promise<T> {
    if (this.#connection.isTransaction) return run(this)
    return this.#connection
      .transaction()
      .execute((inner) => run(new KyselyClient(inner, this.#place)))
  }

  #columns(row: RowValues): [column: Name, value: unknown][] {
    return COLUMNS.filter((name) => row[name] !== undefined).map((name) => [this[name], row[name]])
  }

  #from(): OperationNode {
    return { kind: 'FromNode', froms: [nodeOf(this.table)] }
  }

  /** How many rows a statement has changed. */
  async #count(query: OperationNode): Promise<number> {
    const { numAffectedRows } = await this.#send(query)
    if (numAffectedRows === undefined) {
      throw new Error("Kysely's dialect doesn't tell how many rows a statement has changed")
    }
    return Number(numAffectedRows)
  }

  #send(query: OperationNode) {
    return this.#kysely.executeQuery(this.#compile(query))
  }

  #compile(query: OperationNode): { sql: string } {
    return this.#kysely.getExecutor().compileQuery(query, QUERY_ID)
  }
}

/**
 * What the app's plugins make of the names: `withSchema` and `CamelCasePlugin` mean all tables. The table comes first.
 */
function namesOf(
  executor: KyselyExecutor,
  place: readonly string[],
  columns: readonly string[]
): Name[] {
  const [table, schema] = place.toReversed()
  let query: OperationNode = {
    kind: 'SelectQueryNode',
    from: {
      kind: 'FromNode',
      froms: [
        {
          kind: 'TableNode',
          table: {
            kind: 'SchemableIdentifierNode',
            identifier: identifierNode(table),
            ...(schema !== undefined && { schema: identifierNode(schema) }),
          },
        },
      ],
    },
    selections: columns.map((name) => ({
      kind: 'SelectionNode',
      selection: {
        kind: 'ReferenceNode',
        column: { kind: 'ColumnNode', column: identifierNode(name) },
      },
    })),
  }
  let names = namesIn(query, columns.length)!
  for (const plugin of executor.plugins) {
    try {
      const next = plugin.transformQuery({ node: query, queryId: QUERY_ID })
      const found = namesIn(next, columns.length)
      if (found) [query, names] = [next, found]
    } catch {
      // It is about other queries.
    }
  }
  const [found, ...others] = names
  return [[...place.slice(0, -2), ...found], ...others].map((parts) => new Name(parts))
}

/** The names of the table and of the columns in a query, each outermost first. */
function namesIn(query: any, count: number): string[][] | undefined {
  const { schema, identifier } = query?.from?.froms?.[0]?.table ?? {}
  const columns = (query?.selections as any[] | undefined)?.map(
    ({ selection }) => selection?.column?.column?.name
  )
  const found = [identifier?.name, ...(columns ?? [])]
  const isWhole = found.length === count + 1 && found.every((name) => typeof name === 'string')
  if (!isWhole) return undefined
  const [table, ...others] = found as string[]
  return [
    typeof schema?.name === 'string' ? [schema.name, table] : [table],
    ...others.map((name) => [name]),
  ]
}

/** What stands for a name, a part of a statement or a value in Kysely. */
function nodeOf(part: unknown): OperationNode {
  if (part instanceof Sql) return rawNode(part.texts, part.holes.map(nodeOf))
  if (!(part instanceof Name)) return { kind: 'ValueNode', value: part }
  const { parts } = part
  const [first] = parts
  if (parts.length === 1) return identifierNode(first)
  return rawNode(['', ...parts.slice(1).map(() => '.'), ''], parts.map(identifierNode))
}

function rawNode(sqlFragments: readonly string[], parameters: OperationNode[]): OperationNode {
  return { kind: 'RawNode', sqlFragments, parameters }
}

function identifierNode(name: string): OperationNode {
  return { kind: 'IdentifierNode', name }
}

function whereNode(where: Sql): OperationNode {
  return { kind: 'WhereNode', where: nodeOf(where) }
}
