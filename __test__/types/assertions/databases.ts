/**
 * `loquet/drivers/database` and `loquet/drivers/knex`: the ways to say where the table of a store is.
 */
import { LockFactory, Verrou } from 'loquet'
import { DatabaseStore, NativeDatabaseStore, databaseStore } from 'loquet/drivers/database'
import { KnexAdapter, knexStore } from 'loquet/drivers/knex'
import type * as verrou from '@verrou/core/types'
import type * as verrouDatabase from '@verrou/core/drivers/database'
import type * as driver from 'loquet/drivers/database'
import type * as knexDriver from 'loquet/drivers/knex'
import type {
  AtomicDatabaseAdapter,
  DatabaseAdapter,
  DatabaseConnectionOptions,
  DatabaseOptions,
  DatabaseStoreConfig,
  DatabaseStoreOptions,
  DatabaseTableOptions,
  DatabaseTlsOptions,
  KnexConnection,
  KnexStoreOptions,
  LockStore,
} from 'loquet/types'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'

check<Equal<Parameters<typeof databaseStore>, [options: DatabaseStoreOptions]>>()
check<Equal<ReturnType<typeof databaseStore>, { factory: () => NativeDatabaseStore }>>()
check<Equal<Parameters<typeof knexStore>, [options: KnexStoreOptions]>>()
check<Equal<ReturnType<typeof knexStore>, { factory: () => NativeDatabaseStore }>>()
check<
  Equal<
    ConstructorParameters<typeof NativeDatabaseStore>,
    [options: DatabaseStoreOptions | KnexStoreOptions]
  >
>()
check<
  Equal<
    ConstructorParameters<typeof DatabaseStore>,
    [adapter: DatabaseAdapter, options?: DatabaseOptions & { commandTimeout?: number }]
  >
>()
check<Equal<ConstructorParameters<typeof KnexAdapter>, [connection: KnexConnection]>>()
check<Equal<keyof DatabaseOptions, 'tableName' | 'autoCreateTable' | 'fencing'>>()
check<
  Equal<
    keyof DatabaseTableOptions,
    | keyof DatabaseOptions
    | 'schemaName'
    | 'commandTimeout'
    | 'connectTimeout'
    | 'poolSize'
    | 'pgbouncer'
  >
>()
check<Equal<keyof DatabaseStoreConfig, keyof DatabaseTableOptions | 'connectionName'>>()
check<Equal<KnexStoreOptions['connection'], KnexConnection>>()
check<Equal<DatabaseStoreOptions['url'], string | undefined>>()
check<Equal<DatabaseStoreOptions['connection'], string | DatabaseConnectionOptions | undefined>>()
check<Equal<DatabaseConnectionOptions['ssl'], boolean | DatabaseTlsOptions | undefined>>()
check<
  Equal<
    Exclude<keyof AtomicDatabaseAdapter, keyof DatabaseAdapter>,
    'ignoresTrailingBlanks' | 'saveLock' | 'releaseLock' | 'renewLock' | 'isLocked'
  >
>()

/** The drivers' entries have the types of their options too. */
check<
  Equal<
    [
      driver.AtomicDatabaseAdapter,
      driver.DatabaseAdapter,
      driver.DatabaseConnectionOptions,
      driver.DatabaseOptions,
      driver.DatabaseStoreOptions,
      driver.DatabaseTableOptions,
      driver.DatabaseTlsOptions,
      knexDriver.KnexConnection,
      knexDriver.KnexStoreOptions,
    ],
    [
      AtomicDatabaseAdapter,
      DatabaseAdapter,
      DatabaseConnectionOptions,
      DatabaseOptions,
      DatabaseStoreOptions,
      DatabaseTableOptions,
      DatabaseTlsOptions,
      KnexConnection,
      KnexStoreOptions,
    ]
  >
>()

/** What the peer takes for options and for a connection is taken. */
export const options: KnexStoreOptions = some<verrou.KnexStoreOptions>()
export const adapters: DatabaseAdapter[] = [
  some<verrou.DatabaseAdapter>(),
  new KnexAdapter(some<verrou.KnexStoreOptions['connection']>()),
]
/** Ours are adapters of the peer. */
export const peerAdapter: verrou.DatabaseAdapter = new KnexAdapter(some<KnexConnection>())
/** A store is made of the peer's arguments. */
export const made = (...given: ConstructorParameters<typeof verrouDatabase.DatabaseStore>) =>
  new DatabaseStore(...given)

// @ts-expect-error Not a connection.
knexStore({ connection: 'main' })
// @ts-expect-error Options there are.
knexStore()
// @ts-expect-error Misspelled.
knexStore({ connection: some<KnexConnection>(), tabelName: 'locks' })

/** The ways to say where. */
export const stores = [
  databaseStore({ url: 'postgres://localhost/shop', tableName: 'locks', autoCreateTable: false }),
  databaseStore({ url: 'sqlite:locks.db', commandTimeout: 1000, connectTimeout: 1000 }),
  databaseStore({ client: 'pg', connection: { host: 'a', port: '1', ssl: true }, searchPath: [] }),
  databaseStore({ client: 'mysql2', connection: { socketPath: '/tmp/a', ssl: { ca: [] } } }),
  databaseStore({ connection: { filename: 'locks.db' }, pool: { max: 1 }, poolSize: 2 }),
  databaseStore({ client: 'postgres', connection: 'postgres://a', pgbouncer: true }),
  knexStore({ connection: some<KnexConnection>(), schemaName: 'app', tableName: 'locks' }),
]
// @ts-expect-error Misspelled.
databaseStore({ ulr: 'postgres://localhost' })
// @ts-expect-error A number of milliseconds.
databaseStore({ url: 'postgres://localhost', commandTimeout: '5s' })
// @ts-expect-error Has no native counterpart.
databaseStore({ client: 'mssql', connection: { host: 'a' } })

/** The stores are stores of ours and of the peer; calling them directly gives promises. */
const native = new NativeDatabaseStore({ url: 'postgres://localhost' })
const plain = new DatabaseStore(some<DatabaseAdapter>())
export const ours: LockStore[] = [native, plain]
export const peers: verrou.LockStore[] = [native, plain]
for (const store of [native, plain]) {
  check<Equal<ReturnType<typeof store.save>, Promise<boolean>>>()
  check<Equal<ReturnType<typeof store.delete>, Promise<void>>>()
  check<Equal<ReturnType<typeof store.exists>, Promise<boolean>>>()
}
check<Equal<keyof NativeDatabaseStore, keyof LockStore>>()
check<Equal<keyof DatabaseStore, keyof LockStore>>()
export const factories = [
  new LockFactory(native),
  new Verrou({ default: 'database', stores: { database: { driver: stores[0] } } }),
]
