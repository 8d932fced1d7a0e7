import { RuntimeException } from '@poppinss/exception'
import { NativeDatabaseStore } from '../drivers/database.js'
import { DatabaseOrigin } from '../drivers/database/origin.js'
import { InvalidArgumentsException } from '../errors.js'
import type { DatabaseStoreOptions, KnexConnection } from '../types/main.js'
import type { ConfigProviderApp, DatabaseStoreConfig } from './types.js'

/** `config/database.ts`, as far as anything of it is needed before it is translated. */
interface DatabaseConfig {
  connection?: string
  connections?: Record<string, object>
}

/** The part of `@adonisjs/lucid`'s `Database` that gives a connection. */
interface Database {
  manager: { get(name: string): { state: string } | undefined }
  connection(name: string, options: { mode: 'write' }): { getWriteClient(): KnexConnection }
}

/**
 * The factory of the store that uses a connection of `config/database.ts`. The settings are taken from there; the
 * connection itself isn't asked for, so it isn't made either, unless its settings can't be carried over.
 *
 * @param tableName - Unless the config names one
 * @throws InvalidArgumentsException if there is no such connection, or if no lock can be taken over it; with the code
 * E_LOCK_STORE_UNAVAILABLE if the app has no connections at all
 */
export async function resolveDatabaseStore(
  app: ConfigProviderApp,
  { connectionName, ...options }: DatabaseStoreConfig,
  tableName: string
): Promise<{ factory: () => NativeDatabaseStore }> {
  const config = (await app.container.make('config')) as { get(key: string): unknown }
  const { connection, connections } = (config.get('database') ?? {}) as DatabaseConfig
  if (typeof connections !== 'object' || connections === null) {
    throw new RuntimeException(
      'The database lock store takes its connection from "config/database.ts", where there are none. ' +
        'Run "node ace add @adonisjs/lucid"',
      { code: 'E_LOCK_STORE_UNAVAILABLE', status: 500 }
    )
  }

  const known = Object.keys(connections)
  const name = connectionName ?? connection
  if (typeof name !== 'string') {
    throw new InvalidArgumentsException(
      'The database lock store needs a connection: neither "connectionName" in "config/lock.ts" nor "connection" in ' +
        '"config/database.ts" names one'
    )
  }
  if (!known.includes(name) || !connections[name]) {
    throw new InvalidArgumentsException(
      `Unknown database connection "${name}" of a lock store. Known connections are: ${known.join(', ')}`
    )
  }

  const origin = DatabaseOrigin.ofConfig(
    connections[name],
    { tableName, autoCreateTable: false, ...withoutGaps(options) },
    async () => {
      // Each time anew: the manager makes another one when a connection has been closed.
      const database = (await app.container.make('lucid.db')) as Database
      assertUsable(app, database.manager.get(name)?.state)
      return database.connection(name, { mode: 'write' }).getWriteClient()
    }
  )
  // Its settings have been read already; only this package makes a store that way.
  return { factory: () => new NativeDatabaseStore(origin as unknown as DatabaseStoreOptions) }
}

/**
 * What is still under way when the app ends must not open a connection that has been closed for good: it would keep the
 * process alive.
 */
function assertUsable(app: object, state: string | undefined): void {
  const { isTerminating, isTerminated } = app as {
    isTerminating?: boolean
    isTerminated?: boolean
  }
  const isClosed = state === 'closing' || state === 'closed'
  if (isTerminated || (isTerminating && isClosed)) throw new Error('the app has terminated')
}

/** What is given as `undefined` isn't given. */
function withoutGaps(options: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
