import type { MemoryStoreOptions } from '../drivers/memory.js'
import type { DynamoDbOptions, StoreFactory } from '../types/main.js'
import type {
  ConfigProvider,
  ConfigProviderApp,
  DatabaseStoreConfig,
  RedisStoreConfig,
} from './types.js'

/**
 * The table of the database and DynamoDB stores unless the config names one. The migration creates it.
 */
export const DEFAULT_TABLE_NAME = 'locks'

function createProvider(
  resolver: (app: ConfigProviderApp) => Promise<StoreFactory>
): ConfigProvider<StoreFactory> {
  return { type: 'provider', resolver }
}

/**
 * The stores that a config may name, as config providers: a store is made when the app has booted, so defining a config
 * neither loads nor connects anything.
 */
export const stores = {
  /**
   * Keeps locks in the memory of this process. Private to its instance unless `shared` names a lock space for all
   * worker threads of the process.
   */
  memory(options?: MemoryStoreOptions): ConfigProvider<StoreFactory> {
    return createProvider(async () => {
      const { memoryStore } = await import('../drivers/memory.js')
      return { driver: memoryStore(options) }
    })
  },

  /**
   * Keeps locks in Redis: in the server of a connection of `config/redis.ts`, the default one unless `connectionName`
   * names another. Resolving it rejects if there is no such connection; nothing is connected before the first lock.
   */
  redis(config: RedisStoreConfig = {}): ConfigProvider<StoreFactory> {
    return createProvider(async (app) => {
      const { resolveRedisStore } = await import('./redis_store.js')
      return { driver: await resolveRedisStore(app, config) }
    })
  },

  /**
   * Keeps locks in a database table: in the database of a connection of `config/database.ts`, the default one unless
   * `connectionName` names another. Resolving it rejects if there is no such connection; nothing is connected before the
   * first lock. The table is that of the migration unless `tableName` names another.
   */
  database(config: DatabaseStoreConfig = {}): ConfigProvider<StoreFactory> {
    return createProvider(async (app) => {
      const { resolveDatabaseStore } = await import('./database_store.js')
      return { driver: await resolveDatabaseStore(app, config, DEFAULT_TABLE_NAME) }
    })
  },

  /**
   * Keeps locks in a DynamoDB table, over the app's own client. Resolving it asks nothing of DynamoDB. The table is made
   * with the first lock if it is missing, unless `table.autoCreate` is `false`.
   */
  dynamodb(config: DynamoDbOptions): ConfigProvider<StoreFactory> {
    return createProvider(async () => {
      const { dynamodbStore } = await import('../drivers/dynamodb.js')
      return { driver: dynamodbStore(config) }
    })
  },
}
