import env from '#start/env'
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

    memory: stores.memory(),

    noop: noopStore({}),
  },
})

export default lockConfig

declare module '@adonisjs/lock/types' {
  export interface LockStoresList extends InferLockStores<typeof lockConfig> {}
}
