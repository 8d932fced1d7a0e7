/**
 * The `./types` entry: the types of the core, and those that tie them to an AdonisJS app.
 *
 * What an app augments (`LockStoresList`) and what it names while doing so (`InferLockStores`) are declared in this very
 * file: inside `declare module` TypeScript finds neither through a re-export.
 */

import type { Verrou } from '../verrou.js'
import type {
  AutoExtendOptions,
  DatabaseTableOptions,
  RedisFencingOptions,
  RetryConfig,
  StoreFactory,
} from '../types/main.js'

export * from '../types/main.js'
export type * from '../types/diagnostics.js'
export type { LossReason } from '../errors.js'

/**
 * What a config provider may use of the app that it is resolved in. AdonisJS's `ApplicationService` has it.
 */
export interface ConfigProviderApp {
  container: {
    /** Resolves a binding of the container; rejects if there is none of that name. */
    make(binding: string): Promise<unknown>
  }
}

/**
 * A value that is computed once the app has booted. It is the `ConfigProvider` of AdonisJS in both directions: what
 * `configProvider.create` returns is taken here, and what is made here may be passed to `configProvider.resolve`.
 */
export interface ConfigProvider<T> {
  type: 'provider'
  // A method, not a property: its parameter is then compared in both directions, so that the resolvers of all AdonisJS
  // versions (which ask for their own `ApplicationService`) fit without a type of theirs being imported here.
  resolver(app: ConfigProviderApp): Promise<T>
}

/**
 * The stores of a config, by name: store factories, or providers of store factories.
 */
export type KnownStoresConfig = Record<string, ConfigProvider<StoreFactory> | StoreFactory>

/**
 * What `defineConfig` takes and returns.
 */
export interface LockConfig<KnownStores extends KnownStoresConfig> {
  /** The name of the store that is used unless `use('name')` picks another one. */
  default: keyof KnownStores

  /** All stores, by name. */
  stores: KnownStores

  /** Retry defaults for the locks of all stores. */
  retry?: RetryConfig
  /** Whether leases are extended while they are held, for all locks; see `LockAcquireOptions.autoExtend`. */
  autoExtend?: boolean | AutoExtendOptions
  /**
   * Whether the app's emitter emits `lock:acquired`, `lock:refused`, `lock:extended`, `lock:released` and `lock:lost`, for all
   * locks of the process.
   *
   * @default false
   */
  events?: boolean
}

/**
 * The stores of an app by name. Empty here: `config/lock.ts` augments it, which gives `use()` its names.
 */
export interface LockStoresList {}

/**
 * Resolves the stores of a config to the store factories that the lock manager gets.
 */
export type InferLockStores<T extends { stores: KnownStoresConfig }> = {
  [K in keyof T['stores']]: T['stores'][K] extends { resolver(...args: never[]): infer Resolved }
    ? Awaited<Resolved>
    : T['stores'][K]
}

/**
 * `LockStoresList` as the type argument of `Verrou`: any name is allowed as long as the app has declared none.
 */
type DeclaredStores = [keyof LockStoresList] extends [never]
  ? Record<string, StoreFactory>
  : { [K in keyof LockStoresList]: LockStoresList[K] & StoreFactory }

/**
 * The lock manager of the app: the `Verrou` that is bound to the container as `lock.manager` and made of
 * `config/lock.ts`.
 */
export interface LockService extends Verrou<DeclaredStores> {}

/**
 * Options of a store that keeps its locks in Redis, in an AdonisJS app.
 */
export interface RedisStoreConfig extends RedisFencingOptions {
  /**
   * A connection of `config/redis.ts`.
   *
   * @default the default connection of `config/redis.ts`
   */
  connectionName?: string
}

/**
 * Options of a store that keeps its locks in a table of the app's database.
 */
export interface DatabaseStoreConfig extends Omit<
  DatabaseTableOptions,
  'tableName' | 'autoCreateTable'
> {
  /**
   * A connection of `config/database.ts`.
   *
   * @default the default connection of `config/database.ts`
   */
  connectionName?: string

  /**
   * The table that holds the locks. The migration that `configure` writes creates the default one. A dot separates the
   * table from the schema (or database) that it is in.
   *
   * @default 'locks'
   */
  tableName?: string

  /**
   * Create the table when it is missing, for apps that don't use the migration: with the first lock, not before.
   *
   * @default false
   */
  autoCreateTable?: boolean
}
