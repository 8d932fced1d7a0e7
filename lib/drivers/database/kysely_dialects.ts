/**
 * Which database a Kysely instance speaks to. Its classes may be those of another copy of Kysely, or of somebody else's
 * dialect, so that they are recognized by name, and where a bundler has changed the names by what they do.
 */
import { MSSQL, MYSQL, OTHER, POSTGRES, SQLITE } from './sql_dialects.js'
import type { SqlDialect } from './sql_dialects.js'

/** A part of a query, as plain data. */
export interface OperationNode {
  readonly kind: string
  readonly [property: string]: unknown
}

/** What is used of Kysely's query executor. */
export interface KyselyExecutor {
  readonly adapter: KyselyFeatures
  readonly plugins: readonly {
    transformQuery(args: { node: OperationNode; queryId: { queryId: string } }): OperationNode
  }[]
  withoutPlugins(): KyselyExecutor
  compileQuery(node: OperationNode, queryId: { queryId: string }): { sql: string }
}

/** What an adapter of a Kysely dialect says of its database. */
interface KyselyFeatures {
  readonly supportsTransactionalDdl?: boolean
  readonly supportsReturning?: boolean
  readonly supportsOutput?: boolean
}

/** By the classes of Kysely; dialects of others are mostly derived from them. */
const ADAPTERS: Record<string, SqlDialect> = {
  PostgresAdapter: POSTGRES,
  MysqlAdapter: MYSQL,
  SqliteAdapter: SQLITE,
  MssqlAdapter: MSSQL,
}

/** What all of them are derived from; who has that name has the others' names too. */
const BASE = 'DialectAdapterBase'

/** A name and a value as a dialect writes them, and what it can do. */
const SIGNS: { written: string; returning: boolean; ddl: boolean; dialect: SqlDialect }[] = [
  { written: '"a" $1', returning: true, ddl: true, dialect: POSTGRES },
  { written: '"a" ?', returning: true, ddl: false, dialect: SQLITE },
  { written: '`a` ?', returning: false, ddl: false, dialect: MYSQL },
  { written: '"a" @1', returning: false, ddl: true, dialect: MSSQL },
]

export function dialectOf(executor: KyselyExecutor): SqlDialect {
  const { adapter } = executor
  const classes = classesOf(adapter)
  const known = classes.find((name) => Object.hasOwn(ADAPTERS, name))
  if (known !== undefined) return ADAPTERS[known]
  if (classes.includes(BASE)) return OTHER
  const written = probe(executor)
  const found = SIGNS.find(
    (signs) =>
      signs.written === written &&
      signs.returning === Boolean(adapter.supportsReturning) &&
      signs.ddl === Boolean(adapter.supportsTransactionalDdl)
  )
  return found?.dialect ?? OTHER
}

/** The names of the classes of an object, its own first. */
function classesOf(object: object): string[] {
  const names: string[] = []
  for (
    let prototype: object | null = Object.getPrototypeOf(object);
    prototype !== null;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    names.push(prototype.constructor.name)
  }
  return names
}

function probe(executor: KyselyExecutor): string {
  const parameters = [
    { kind: 'IdentifierNode', name: 'a' },
    { kind: 'ValueNode', value: 1 },
  ]
  const query = { kind: 'RawNode', sqlFragments: ['', ' ', ''], parameters }
  return executor.withoutPlugins().compileQuery(query, { queryId: 'loquet' }).sql
}
