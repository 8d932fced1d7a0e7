import { createHash } from 'node:crypto'

import type { Name, Sql } from './sql.js'
import type { SqlDialect } from './sql_dialects.js'

/** What the columns are set to. */
export interface RowValues {
  key?: string
  owner?: string
  /** By the database's clock, it is an expression. */
  expiration?: number | Sql | null
}

/** The fencing tokens of the locks, in a table beside theirs. */
export interface FenceNames {
  /** The table, and its columns. */
  readonly table: Name
  readonly key: Name
  readonly token: Name
}

/**
 * A client of the app and what is known of its database. Everything rejects with the driver's error.
 */
export interface TableClient {
  readonly dialect: SqlDialect
  /** The table and its columns. */
  readonly table: Name
  readonly key: Name
  readonly owner: Name
  readonly expiration: Name
  readonly fences: FenceNames
  /** Sends a statement; resolves to its rows. */
  query(statement: Sql): Promise<unknown[]>
  insert(row: RowValues): Promise<unknown>
  /** Resolves to the number of rows. */
  update(values: RowValues, where: Sql): Promise<number>
  /** Resolves to the number of rows. */
  remove(where: Sql): Promise<number>
  /** Resolves to owner and expiration of the rows. */
  select(where: Sql): Promise<unknown[]>
  hasTable(table: Name): Promise<boolean>
  createTable(): Promise<unknown>
  createFences(): Promise<unknown>
  /** Runs with a client whose statements are one transaction; within one of the app it is part of that. */
  transaction<T>(run: (client: TableClient) => Promise<T>): Promise<T>
}

/** How many bytes of a name Postgres keeps. */
const LONGEST_NAME = 63

const ENDING = '_fencing'

/** The table of the fencing tokens of a table of locks, as the native stores call it, too; `src/store/database/column.rs`. */
export function fencesOf(place: readonly string[]): string[] {
  const table = place.at(-1)!
  return [...place.slice(0, -1), tokenTable(table)]
}

function tokenTable(table: string): string {
  if (Buffer.byteLength(table) + ENDING.length <= LONGEST_NAME) return `${table}${ENDING}`
  const print = createHash('sha256').update(table).digest('hex').slice(0, 8)
  const room = LONGEST_NAME - ENDING.length - print.length - 1
  // Not to cut a character.
  const { written } = new TextEncoder().encodeInto(table, new Uint8Array(room))
  const kept = Buffer.from(table).subarray(0, written).toString()
  return `${kept}_${print}${ENDING}`
}
