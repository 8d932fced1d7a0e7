/**
 * Our classes against the peers', method by method. Their classes have private members, which makes them different types
 * however alike they are; so what is compared is their public side.
 */
import type * as verrou from '@verrou/core'
import type * as verrouMemory from '@verrou/core/drivers/memory'
import type * as verrouTypes from '@verrou/core/types'
import type * as adonisLock from 'adonis-lock'
import type * as adonisLockTypes from 'adonis-lock/types'
import type { ConfigProvider } from '@adonisjs/core/types'
import { Lock, LockFactory, Verrou, configure, defineConfig, stores } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import type {
  DatabaseAdapter,
  DatabaseOptions,
  Duration,
  InferLockStores,
  LockAcquireOptions,
  LockFactoryOptions,
  LockStore,
  ResolvedLockConfig,
  RetryConfig,
  SerializedLock,
  StoreFactory,
} from 'loquet/types'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'

/** A class without what is private to it. */
type Public<T> = { [K in keyof T]: T[K] }

type PeerLock = Public<verrou.Lock>
interface PeerFactory {
  createLock(...args: Parameters<verrou.LockFactory['createLock']>): PeerLock
  restoreLock(...args: Parameters<verrou.LockFactory['restoreLock']>): PeerLock
}
interface PeerManager extends PeerFactory {
  use<Name extends 'memory' | 'other'>(store: Name): PeerFactory
}
type PeerStore = Omit<verrouMemory.MemoryStore, 'getOrCreateForKey'>

/** Nothing of the peer was left out of the above, */
check<Equal<keyof PeerFactory, keyof verrou.LockFactory>>()
check<Equal<keyof PeerManager, keyof verrou.Verrou<Record<string, verrouTypes.StoreFactory>>>>()

/** and ours can stand wherever it is wanted. */
export const lock: PeerLock = some<Lock>()
export const factory: PeerFactory = some<LockFactory>()
export const manager: PeerManager = some<Verrou<Record<'memory' | 'other', StoreFactory>>>()
export const store: PeerStore = some<MemoryStore>()

/** They are made of the same arguments. */
export const classes: {
  Lock: new (...args: ConstructorParameters<typeof verrou.Lock>) => PeerLock
  LockFactory: new (...args: ConstructorParameters<typeof verrou.LockFactory>) => PeerFactory
  Verrou: new (config: {
    default: 'memory' | 'other'
    stores: Record<'memory' | 'other', verrouTypes.StoreFactory>
    logger?: verrouTypes.ResolvedLockConfig['logger']
  }) => PeerManager
  MemoryStore: new () => PeerStore
} = { Lock, LockFactory, Verrou, MemoryStore }

/** What passes in both directions is the same, */
check<Equal<Duration, verrouTypes.Duration>>()
check<Equal<SerializedLock, verrouTypes.SerializedLock>>()
check<Equal<RetryConfig, verrouTypes.RetryConfig>>()
check<Equal<Omit<DatabaseOptions, 'fencing'>, verrouTypes.DatabaseOptions>>()

/** what only passes in is taken: ours may take more. */
export const inwards: [
  LockStore,
  StoreFactory,
  LockAcquireOptions,
  LockFactoryOptions,
  ResolvedLockConfig,
  DatabaseAdapter,
] =
  some<
    [
      verrouTypes.LockStore,
      verrouTypes.StoreFactory,
      verrouTypes.LockAcquireOptions,
      verrouTypes.LockFactoryOptions,
      verrouTypes.ResolvedLockConfig,
      verrouTypes.DatabaseAdapter,
    ]
  >()

/** A config of an AdonisJS app, taken whole. */
type PeerStores = Record<'memory' | 'other', ConfigProvider<verrouTypes.StoreFactory>>
export const ours = defineConfig(some<ReturnType<typeof adonisLock.defineConfig<PeerStores>>>())
export const peers: ReturnType<typeof adonisLock.defineConfig<PeerStores>> = ours
check<
  Equal<
    InferLockStores<typeof ours>,
    adonisLockTypes.InferLockStores<ReturnType<typeof adonisLock.defineConfig<PeerStores>>>
  >
>()
/** Redis connections are named by `@adonisjs/redis`, which isn't installed here: any names stand in for it. */
type PeerArguments<Name extends keyof typeof adonisLock.stores> = Name extends 'redis'
  ? [config: { connectionName?: 'main' | 'other' }]
  : Parameters<(typeof adonisLock.stores)[Name]>
export const calls: {
  [Name in keyof typeof adonisLock.stores]: (
    ...args: PeerArguments<Name>
  ) => ConfigProvider<StoreFactory>
} = stores
export const hook: typeof adonisLock.configure = configure
