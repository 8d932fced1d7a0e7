import type { DatabaseStoreOptions } from '../types/main.js'
import { NativeDatabaseStore } from './database/native_database_store.js'
import { DatabaseOrigin } from './database/origin.js'

export { DatabaseStore } from './database/table_store.js'
export { NativeDatabaseStore } from './database/native_database_store.js'
export type {
  AtomicDatabaseAdapter,
  DatabaseAdapter,
  DatabaseConnectionOptions,
  DatabaseOptions,
  DatabaseStoreOptions,
  DatabaseTableOptions,
  DatabaseTlsOptions,
} from '../types/main.js'

/**
 * A factory of stores with native connections of their own: `databaseStore({ url })`, or
 * `databaseStore({ client, connection })` as `knex()` takes them. What `factory` makes connects with the first lock.
 *
 * @throws InvalidArgumentsException (when `factory` is called) if the options can't be used
 */
export function databaseStore(options: DatabaseStoreOptions): {
  factory: () => NativeDatabaseStore
} {
  return { factory: () => storeOf(DatabaseOrigin.ofOptions(options)) }
}

/** Its settings have been read already; only this package makes a store that way. */
function storeOf(origin: DatabaseOrigin): NativeDatabaseStore {
  return new NativeDatabaseStore(origin as unknown as DatabaseStoreOptions)
}
