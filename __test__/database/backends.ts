/**
 * Databases that tests break: servers that are killed, files that are locked.
 */
import { databaseStore } from 'loquet/drivers/database'
import { LockFactory } from 'loquet'

import { startMariadb, startPostgres } from './servers.js'
import type { DatabaseServer } from './servers.js'
import { sqlite } from './topologies.js'
import type { KnexConfig } from './topologies.js'
import type { FoundLease } from '../faults/storm.js'
import type { Target } from '../faults/proxy.js'

export const TABLE = 'verrou'

/** A database of its own, and how it is looked at. */
export interface Backend {
  config: KnexConfig
  /** The server, unless it is a file. */
  server?: DatabaseServer
  /** The locks that have not expired. */
  leases(): Promise<FoundLease[]>
  stop(): Promise<void>
}

/** Milliseconds since the epoch, by the database's clock. */
const NOW = {
  'pg': 'floor(extract(epoch from clock_timestamp()) * 1000)',
  'mysql2': 'floor(unix_timestamp(sysdate(3)) * 1000)',
  'better-sqlite3': "(unixepoch('subsec') * 1000)",
}

async function leasesOf(
  client: KnexConfig['client'],
  query: (sql: string) => Promise<Record<string, unknown>[]>
): Promise<FoundLease[]> {
  const quote = client === 'mysql2' ? '`' : '"'
  const key = `${quote}key${quote}`
  const sql = `SELECT ${key} AS k, owner AS o FROM ${TABLE} WHERE expiration IS NULL OR expiration > ${NOW[client]}`
  try {
    const rows = await query(sql)
    return rows.map(({ k, o }) => ({ key: String(k), owner: String(o) }))
  } catch (error) {
    // Nobody has made the table yet.
    if (/does not exist|doesn't exist|no such table/.test(String(error))) return []
    throw error
  }
}

/** Where a server is, with its port or another one. */
export function configOf(server: DatabaseServer, { host, port }: Target = server): KnexConfig {
  const { user, password, database } = server
  const client = server.url.startsWith('mysql:') ? 'mysql2' : 'pg'
  return { client, connection: { host, port, user, password, database } }
}

function backendOf(server: DatabaseServer): Backend {
  const config = configOf(server)
  return {
    config,
    server,
    leases: () => leasesOf(config.client, (sql) => server.query(sql)),
    stop: () => server.stop(),
  }
}

async function fileBackend(journal: 'wal' | 'delete'): Promise<Backend> {
  const { config, query, stop } = await sqlite(journal)
  return { config, leases: () => leasesOf(config.client, query), stop }
}

/** How each kind is started. */
export const BACKENDS = {
  'Postgres': async () => backendOf(await startPostgres()),
  'MariaDB': async () => backendOf(await startMariadb()),
  'SQLite, WAL': () => fileBackend('wal'),
  'SQLite, rollback journal': () => fileBackend('delete'),
}

/** Those that are servers. */
export const SERVERS = {
  Postgres: startPostgres,
  MariaDB: startMariadb,
}

/** A factory of locks. Each number is a store with connections of its own, as in another process. */
export function openFactory(
  config: KnexConfig,
  { apart = 0, ...options }: { apart?: number; commandTimeout?: number } = {}
): LockFactory {
  const connectTimeout = 5_000 + apart
  return new LockFactory(
    databaseStore({ ...config, tableName: TABLE, connectTimeout, ...options }).factory()
  )
}
