import { recognizeCopies } from '../../copies.js'
import { ServerEngine } from '../../engine/server_engine.js'
import { native } from '../../native.js'
import { NativeStore } from '../native_store.js'
import type { DatabaseStoreOptions, KnexStoreOptions } from '../../types/main.js'
import { DatabaseOrigin } from './origin.js'

/**
 * Keeps locks in a table of Postgres, MySQL, MariaDB or SQLite: rows of key, owner and expiration, just as
 * `@verrou/core` does, so that both may be used side by side.
 *
 * The store has native connections of its own, which take their settings from the knex instance or the options. Stores
 * with the same settings share them. They are made with the first lock and don't keep the process alive. Where the
 * settings can't be carried over, the store uses the app's own knex connection, and says so once: in the log of whoever
 * uses it, or as a process warning with the code `LOQUET_DATABASE_CONNECTION`.
 */
export class NativeDatabaseStore extends NativeStore {
  /**
   * Connects to nothing yet.
   *
   * @param options - Of `knexStore` if `connection` is a knex instance, otherwise of `databaseStore`
   * @throws InvalidArgumentsException if the options can't be used
   */
  constructor(options: DatabaseStoreOptions | KnexStoreOptions) {
    const { translation, connection, fencing } =
      options instanceof DatabaseOrigin ? options : originOf(options)
    const named = { name: 'database', warning: 'LOQUET_DATABASE_CONNECTION', fencing }
    if (translation.kind === 'native') {
      const { settings, warnings } = translation
      super({
        ...named,
        engine: new ServerEngine((environment) => native.openDatabase(environment, settings), ''),
        remarks: warnings.map((warning) => `Database lock store: ${warning}`),
      })
    } else {
      super({
        ...named,
        connection: connection!(),
        remarks: [
          `The database lock store runs on the app's own knex connection, since ${translation.reason}`,
        ],
      })
    }
  }
}

recognizeCopies(NativeDatabaseStore, 'NativeDatabaseStore')

function originOf(options: DatabaseStoreOptions | KnexStoreOptions): DatabaseOrigin {
  return typeof options?.connection === 'function'
    ? DatabaseOrigin.ofKnex(options as KnexStoreOptions)
    : DatabaseOrigin.ofOptions(options as DatabaseStoreOptions)
}
