/**
 * Knex instances for the tests, of each kind of database.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import knexModule from 'knex'
import type { Knex } from 'knex'

import { startMariadb, startPostgres } from './servers.js'
import type { DatabaseServer } from './servers.js'

export const KINDS = ['Postgres', 'MariaDB', 'SQLite'] as const

export type Kind = (typeof KINDS)[number]

/** A private database and the ways to it. */
export interface Database {
  kind: Kind
  /** The server; there is none for SQLite. */
  server?: DatabaseServer
  /** A config of knex for it. */
  config: Knex.Config
  /** Another instance for it; destroyed with the database. */
  connect(options?: Knex.Config): Knex
  stop(): Promise<void>
}

export async function startDatabase(kind: Kind): Promise<Database> {
  const folder = mkdtempSync(join(tmpdir(), 'loquet-database-'))
  const server =
    kind === 'Postgres'
      ? await startPostgres()
      : kind === 'MariaDB'
        ? await startMariadb()
        : undefined
  const config: Knex.Config =
    server === undefined
      ? {
          client: 'better-sqlite3',
          connection: { filename: join(folder, 'locks.db') },
          useNullAsDefault: true,
        }
      : { client: kind === 'Postgres' ? 'pg' : 'mysql2', connection: placeOf(server) }
  const made: Knex[] = []
  return {
    kind,
    server,
    config,
    connect(options = {}) {
      const instance = knexModule.knex({ ...config, ...options })
      made.push(instance)
      return instance
    },
    async stop() {
      await Promise.all(made.map((instance) => instance.destroy()))
      await server?.stop()
      rmSync(folder, { recursive: true })
    },
  }
}

/** What knex needs to reach a server. */
export function placeOf({ host, port, user, password, database }: DatabaseServer) {
  return { host, port, user, password, database }
}

/** A pool that only knex understands: its instance is used as it is. */
export const OWN_POOL: Knex.PoolConfig = {
  afterCreate: (connection: unknown, done: (error: null, made: unknown) => void) =>
    done(null, connection),
}
