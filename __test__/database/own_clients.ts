/**
 * The clients that an app has of its own, and stores over them.
 */
import { KnexAdapter as PeerKnexAdapter } from '@verrou/core/drivers/knex'
import { KyselyAdapter as PeerKyselyAdapter } from '@verrou/core/drivers/kysely'
import Database from 'better-sqlite3'
import knexModule from 'knex'
import { Kysely, MysqlDialect, PostgresDialect, SqliteDialect } from 'kysely'
import type { Dialect, KyselyConfig } from 'kysely'
import { KnexAdapter, knexStore } from 'loquet/drivers/knex'
import { KyselyAdapter, kyselyStore } from 'loquet/drivers/kysely'
import type { AtomicDatabaseAdapter, DatabaseAdapter, LockStore } from 'loquet/types'
import mysql from 'mysql2'
import pg from 'pg'

import type { KnexConfig } from './topologies.js'

/** How a client is set up. */
export interface ClientOptions {
  /** How many connections it has at most. */
  max?: number
}

/** An app's client of a database. */
export interface OwnClient {
  adapter(): AtomicDatabaseAdapter
  /** Verrou's. */
  peerAdapter(): DatabaseAdapter
  /** A store over it: what the app makes of it. */
  driver(options?: { tableName?: string; commandTimeout?: number }): { factory: () => LockStore }
  /** Runs with an adapter that is part of a transaction. */
  transaction(run: (adapter: AtomicDatabaseAdapter) => Promise<void>): Promise<void>
  destroy(): Promise<void>
}

const CONNECTIONS = 10

export function knexClient(
  config: KnexConfig,
  { max = CONNECTIONS }: ClientOptions = {}
): OwnClient {
  const isFile = config.client === 'better-sqlite3'
  const knex = knexModule.knex({
    ...config,
    useNullAsDefault: true,
    pool: { min: 0, max: isFile ? 1 : max },
    log: { warn() {} },
  })
  return {
    adapter: () => new KnexAdapter(knex),
    peerAdapter: () => new PeerKnexAdapter(knex),
    // A proxy can't be told from the instance, but loquet makes no native connections of one.
    driver: (options) => knexStore({ connection: new Proxy(knex, {}), ...options }),
    transaction: (run) => knex.transaction((transaction) => run(new KnexAdapter(transaction))),
    destroy: () => knex.destroy(),
  }
}

/** Kysely's dialect of each of knex's. */
const DIALECTS: Record<KnexConfig['client'], (connection: any, max: number) => Dialect> = {
  'pg': (connection, max) => {
    const pool = new pg.Pool({ ...connection, max })
    // An app listens to both, or it ends with the first connection that is lost, idle or not.
    pool.on('error', () => {})
    pool.on('connect', (one) => one.on('error', () => {}))
    return new PostgresDialect({ pool })
  },
  'mysql2': (connection, max) =>
    new MysqlDialect({ pool: mysql.createPool({ ...connection, connectionLimit: max }) }),
  'better-sqlite3': ({ filename }) => new SqliteDialect({ database: new Database(filename) }),
}

/** A Kysely instance for what knex would be configured for. */
export function makeKysely(
  { client, connection }: KnexConfig,
  { max = CONNECTIONS }: ClientOptions = {},
  more: Omit<KyselyConfig, 'dialect'> = {}
): Kysely<any> {
  return new Kysely<any>({ dialect: DIALECTS[client](connection, max), ...more })
}

export function kyselyClient(config: KnexConfig, options?: ClientOptions): OwnClient {
  const kysely = makeKysely(config, options)
  return {
    adapter: () => new KyselyAdapter(kysely),
    peerAdapter: () => new PeerKyselyAdapter(kysely),
    driver: (more) => kyselyStore({ connection: kysely, ...more }),
    transaction: (run) =>
      kysely.transaction().execute((transaction) => run(new KyselyAdapter(transaction))),
    destroy: () => kysely.destroy(),
  }
}

export const CLIENTS = { KnexAdapter: knexClient, KyselyAdapter: kyselyClient }

export type ClientName = keyof typeof CLIENTS
