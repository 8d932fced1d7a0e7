import env from '#start/env'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { defineConfig, stores } from '@adonisjs/lock'
import { noopStore } from '#stores/noop_store'

const lockConfig = defineConfig({
  default: env.get('LOCK_STORE'),
  stores: {
    redis: stores.redis({
      connectionName: 'main',
    }),

    database: stores.database({
      tableName: 'locks',
    }),

    /**
     * The client takes the region and the credentials from the environment, and connects with the first lock.
     */
    dynamodb: stores.dynamodb({
      connection: new DynamoDBClient({}),
      table: { name: 'locks' },
    }),

    memory: stores.memory(),

    noop: noopStore({}),
  },
})

export default lockConfig

declare module '@adonisjs/lock/types' {
  export interface LockStoresList extends InferLockStores<typeof lockConfig> {}
}
