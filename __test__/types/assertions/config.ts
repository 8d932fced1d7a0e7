/**
 * `defineConfig`, `stores` and the types that tie them to an AdonisJS app. What an app adds by augmenting
 * `LockStoresList` is tested with the samples of the user guide: here it stays empty.
 */
import { configProvider } from '@adonisjs/core'
import { configure, defineConfig, stores } from 'loquet'
import LockProvider from 'loquet/lock_provider'
import locks from 'loquet/services/main'
import { memoryStore } from 'loquet/drivers/memory'
import type {
  ApplicationService,
  ConfigProvider as AdonisConfigProvider,
} from '@adonisjs/core/types'
import type { Codemods } from '@adonisjs/core/ace/codemods'
import type Configure from '@adonisjs/core/commands/configure'
import type { Lock, LockFactory, Verrou } from 'loquet'
import type { MemoryStoreOptions } from 'loquet/drivers/memory'
import type {
  AutoExtendOptions,
  ConfigProvider,
  ConfigProviderApp,
  DatabaseStoreConfig,
  DynamoDbOptions,
  InferLockStores,
  KnownStoresConfig,
  LockConfig,
  LockService,
  LockStoresList,
  RedisStoreConfig,
  RetryConfig,
  StoreFactory,
} from 'loquet/types'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'

const plain = { driver: memoryStore() }

/** A config keeps the types of its stores, whichever way they are given. */
export const config = defineConfig({
  default: 'memory',
  stores: {
    memory: stores.memory({ shared: 'name' }),
    redis: stores.redis({ connectionName: 'main' }),
    database: stores.database({ connectionName: 'postgres', tableName: 'locks' }),
    plain,
    adonis: configProvider.create<StoreFactory>(async (_app) => plain),
  },
  retry: { attempts: 3 },
})
check<
  Equal<
    typeof config,
    LockConfig<{
      memory: ConfigProvider<StoreFactory>
      redis: ConfigProvider<StoreFactory>
      database: ConfigProvider<StoreFactory>
      plain: typeof plain
      adonis: AdonisConfigProvider<StoreFactory>
    }>
  >
>()
check<Equal<typeof config.default, 'memory' | 'redis' | 'database' | 'plain' | 'adonis'>>()
check<
  Equal<
    LockConfig<{ memory: StoreFactory }>,
    {
      default: 'memory'
      stores: { memory: StoreFactory }
      retry?: RetryConfig
      autoExtend?: boolean | AutoExtendOptions
      events?: boolean
    }
  >
>()
check<Equal<KnownStoresConfig, Record<string, ConfigProvider<StoreFactory> | StoreFactory>>>()

/** Providers are resolved, plain factories stay what they are. */
check<
  Equal<
    InferLockStores<typeof config>,
    {
      memory: StoreFactory
      redis: StoreFactory
      database: StoreFactory
      plain: typeof plain
      adonis: StoreFactory
    }
  >
>()
check<Equal<InferLockStores<{ stores: Record<never, never> }>, Record<never, never>>>()
export type NotAConfig = [
  // @ts-expect-error Not a config.
  InferLockStores<{ store: StoreFactory }>,
  // @ts-expect-error Not stores.
  InferLockStores<{ stores: { memory: number } }>,
]

// @ts-expect-error The default must be one of the stores.
defineConfig({ default: 'other', stores: { plain } })
// @ts-expect-error A default is needed.
defineConfig({ stores: { plain } })
// @ts-expect-error Stores are needed.
defineConfig({ default: 'plain' })
// @ts-expect-error A provider has to be called.
defineConfig({ default: 'memory', stores: { memory: stores.memory } })
// @ts-expect-error A store is wrapped: `{ driver: memoryStore() }`.
defineConfig({ default: 'memory', stores: { memory: memoryStore() } })
// @ts-expect-error Not a retry setting.
defineConfig({ default: 'plain', stores: { plain }, retry: { attempt: 1 } })

/** The options of the stores. */
check<Equal<Parameters<typeof stores.memory>, [options?: MemoryStoreOptions]>>()
check<Equal<Parameters<typeof stores.redis>, [config?: RedisStoreConfig]>>()
check<Equal<Parameters<typeof stores.database>, [config?: DatabaseStoreConfig]>>()
check<Equal<Parameters<typeof stores.dynamodb>, [config: DynamoDbOptions]>>()
check<Equal<RedisStoreConfig['connectionName'], string | undefined>>()
check<Equal<keyof RedisStoreConfig, 'connectionName' | 'fencing'>>()
check<Equal<DatabaseStoreConfig['connectionName' | 'tableName'], string | undefined>>()
check<Equal<ReturnType<typeof stores.memory>, ConfigProvider<StoreFactory>>>()
check<Equal<ReturnType<typeof stores.redis>, ConfigProvider<StoreFactory>>>()
check<Equal<ReturnType<typeof stores.database>, ConfigProvider<StoreFactory>>>()
check<Equal<ReturnType<typeof stores.dynamodb>, ConfigProvider<StoreFactory>>>()
export const dynamodb = stores.dynamodb({
  table: { name: 'locks' },
  connection: { send: async (_command: object) => ({}) },
})
// @ts-expect-error Misspelled.
stores.redis({ connection: 'main' })
// @ts-expect-error A table has a name.
stores.dynamodb({ table: 'locks', connection: { send: async () => ({}) } })

/** Our providers are AdonisJS's and the other way round. */
export const toAdonis: AdonisConfigProvider<StoreFactory> = stores.memory()
export const fromAdonis: ConfigProvider<StoreFactory> = some<AdonisConfigProvider<StoreFactory>>()
export const app: ConfigProviderApp = some<ApplicationService>()
check<Equal<Parameters<ConfigProvider<string>['resolver']>, [app: ConfigProviderApp]>>()
check<Equal<ReturnType<ConfigProvider<string>['resolver']>, Promise<string>>>()

/** An app that has declared no stores may use any name. */
check<Equal<keyof LockStoresList, never>>()
check<Equal<typeof locks, LockService>>()
export const manager: Verrou<Record<string, StoreFactory>> = locks
export const named: LockFactory = locks.use('anything')
export const lock: Lock = locks.createLock('key')
// @ts-expect-error A name is a string.
locks.use(1)

/** What AdonisJS calls, and what it is called with. */
type ConfigureCommand = Parameters<typeof configure>[0]
type ConfigureCodemods = Awaited<ReturnType<ConfigureCommand['createCodemods']>>
export const command: ConfigureCommand = some<Configure>()
export const codemods: ConfigureCodemods = some<Codemods>()
export const hook: (command: Configure) => Promise<void> = configure
export const provider: { register(): void; shutdown(): Promise<void> } = new LockProvider(
  some<ApplicationService>()
)
export const Provider: new (app: ApplicationService) => LockProvider = LockProvider
export const bound: Promise<LockService> = some<ApplicationService>().container.make('lock.manager')
