/**
 * The kinds of databases that the contract is tested on, and how a store is told where it is.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import Database from 'better-sqlite3'
import { databaseStore } from 'loquet/drivers/database'
import type { LockStore } from 'loquet/types'

import { PATIENCE } from '../contract/patience.js'
import { startMariadb, startPgbouncer, startPostgres } from './servers.js'
import type { Row } from './servers.js'

/** A config of knex, which plain options resemble. */
export interface KnexConfig {
  client: 'pg' | 'mysql2' | 'better-sqlite3'
  connection: Record<string, unknown>
}

export interface Running {
  config: KnexConfig
  /** What a store needs besides that. */
  options?: { pgbouncer?: boolean }
  /** Rows of a statement, over a connection that has nothing to do with any store. */
  query: (sql: string) => Promise<Row[]>
  stop: () => Promise<void>
}

/** Each store of a test has its own connections. */
const MANY = { max_connections: '800' }

async function postgres(way: 'plain' | 'TLS' | 'socket'): Promise<Running> {
  const server = await startPostgres({ tls: way === 'TLS', config: MANY })
  const { host, port, user, password, database, ca } = server
  const login = { port, user, password, database }
  const connection = {
    plain: { host, ...login },
    TLS: { host, ...login, ssl: { ca } },
    socket: { host: server.socketFolder, ...login },
  }[way]
  return {
    config: { client: 'pg', connection },
    query: (sql) => server.query(sql),
    stop: () => server.stop(),
  }
}

async function pgbouncer(isTold: boolean): Promise<Running> {
  const server = await startPostgres()
  const pooler = await startPgbouncer(server, { config: { max_client_conn: 2000 } })
  const { host, port, user, password, database } = pooler
  return {
    config: { client: 'pg', connection: { host, port, user, password, database } },
    ...(isTold && { options: { pgbouncer: true } }),
    query: (sql) => server.query(sql),
    stop: async () => {
      await pooler.stop()
      await server.stop()
    },
  }
}

async function mariadb(way: 'plain' | 'TLS' | 'socket'): Promise<Running> {
  const server = await startMariadb({ tls: way === 'TLS', config: MANY })
  const { host, port, user, password, database, ca, socketPath } = server
  const login = { user, password, database }
  const connection = {
    plain: { host, port, ...login },
    TLS: { host, port, ...login, ssl: { ca } },
    socket: { socketPath, ...login },
  }[way]
  return {
    config: { client: 'mysql2', connection },
    query: (sql) => server.query(sql),
    stop: () => server.stop(),
  }
}

/** Makes a file as the app would have made it. */
export async function sqlite(journal: 'wal' | 'delete'): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'loquet-sqlite-'))
  const filename = join(folder, 'app.sqlite3')
  const database = new Database(filename)
  database.pragma(`journal_mode = ${journal}`)
  database.exec('CREATE TABLE app (id integer)')
  return {
    config: { client: 'better-sqlite3', connection: { filename } },
    query: async (sql) => {
      const statement = database.prepare(sql)
      if (statement.reader) return statement.all() as Row[]
      statement.run()
      return []
    },
    stop: async () => {
      database.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** How each kind is started. */
export const TOPOLOGIES = {
  'Postgres': () => postgres('plain'),
  'Postgres, TLS': () => postgres('TLS'),
  'Postgres, unix socket': () => postgres('socket'),
  'PgBouncer': () => pgbouncer(true),
  'PgBouncer that nobody told of': () => pgbouncer(false),
  'MariaDB': () => mariadb('plain'),
  'MariaDB, TLS': () => mariadb('TLS'),
  'MariaDB, unix socket': () => mariadb('socket'),
  'SQLite, WAL': () => sqlite('wal'),
  'SQLite, rollback journal': () => sqlite('delete'),
}

export type Topology = keyof typeof TOPOLOGIES

let tables = 0

/** A table that no other store uses. */
export function newTable(): string {
  return `locks_${process.pid}_${++tables}`
}

/**
 * A store with locks of its own, and time for its calls.
 *
 * @param more - Options of the store
 */
export function storeOf(
  { config, options }: Running,
  more: { tableName?: string; commandTimeout?: number; connectTimeout?: number } = {}
): LockStore {
  const defaults = { tableName: newTable(), commandTimeout: PATIENCE }
  return databaseStore({ ...config, ...options, ...defaults, ...more }).factory()
}
