import type { DatabaseStoreOptions, KnexStoreOptions } from '../types/main.js'
import { NativeDatabaseStore } from './database/native_database_store.js'
import { DatabaseOrigin } from './database/origin.js'

export { KnexAdapter } from './database/knex_adapter.js'
export type { KnexConnection, KnexStoreOptions } from '../types/main.js'

/**
 * A factory of stores in the database of a knex instance. They have native connections of their own, with the instance's
 * settings; where these can't be carried over, they use the instance. What `factory` makes connects with the first lock.
 *
 * @throws InvalidArgumentsException (when `factory` is called) if the options can't be used
 */
export function knexStore(options: KnexStoreOptions): { factory: () => NativeDatabaseStore } {
  return { factory: () => storeOf(DatabaseOrigin.ofKnex(options)) }
}

/** Its settings have been read already; only this package makes a store that way. */
function storeOf(origin: DatabaseOrigin): NativeDatabaseStore {
  return new NativeDatabaseStore(origin as unknown as DatabaseStoreOptions)
}
