/**
 * `loquet/drivers/kysely`: stores over an app's own Kysely instance, whatever its tables are.
 */
import { DatabaseStore } from 'loquet/drivers/database'
import { KyselyAdapter, kyselyStore } from 'loquet/drivers/kysely'
import { Verrou } from 'loquet'
import type { ControlledTransaction, Generated, Kysely, Transaction } from 'kysely'
import type * as verrou from '@verrou/core/types'
import type * as driver from 'loquet/drivers/kysely'
import type {
  AtomicDatabaseAdapter,
  DatabaseOptions,
  KyselyConnection,
  KyselyOptions,
} from 'loquet/types'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'

check<Equal<Parameters<typeof kyselyStore>, [options: KyselyOptions]>>()
check<Equal<ReturnType<typeof kyselyStore>, { factory: () => DatabaseStore }>>()
check<Equal<ConstructorParameters<typeof KyselyAdapter>, [connection: KyselyConnection]>>()
check<
  Equal<keyof KyselyOptions, keyof DatabaseOptions | 'connection' | 'schemaName' | 'commandTimeout'>
>()
check<Equal<[driver.KyselyConnection, driver.KyselyOptions], [KyselyConnection, KyselyOptions]>>()

interface Shop {
  orders: { id: Generated<number>; total: number }
}

/** Instances are taken, and what derives from them. */
export const connections: KyselyConnection[] = [
  some<Kysely<Shop>>(),
  some<Kysely<unknown>>(),
  some<Transaction<Shop>>(),
  some<ControlledTransaction<Shop, ['a']>>(),
  some<verrou.KyselyOptions['connection']>(),
]
/** So are the options of the peer. */
export const options: KyselyOptions = some<verrou.KyselyOptions>()
export const adapter: AtomicDatabaseAdapter = new KyselyAdapter(some<Kysely<Shop>>())
/** Ours are adapters of the peer. */
export const peerAdapter: verrou.DatabaseAdapter = new KyselyAdapter(some<Kysely<Shop>>())
export const store = new DatabaseStore(adapter, { tableName: 'locks', commandTimeout: 1000 })
export const locks = new Verrou({
  default: 'kysely',
  stores: {
    kysely: { driver: kyselyStore({ connection: some<Kysely<Shop>>(), schemaName: 'app' }) },
  },
})

// @ts-expect-error Not a connection.
kyselyStore({ connection: 'main' })
// @ts-expect-error Options there are.
kyselyStore()
// @ts-expect-error It has no connections of its own.
kyselyStore({ connection: some<Kysely<Shop>>(), poolSize: 2 })
