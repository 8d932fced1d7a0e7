/**
 * `loquet/drivers/redis`: the ways to say where the Redis of a store is.
 */
import { Cluster, Redis } from 'ioredis'
import { LockFactory, Verrou } from 'loquet'
import { RedisStore, redisStore } from 'loquet/drivers/redis'
import type * as verrou from '@verrou/core/types'
import type * as driver from 'loquet/drivers/redis'
import type {
  LockStore,
  RedisClusterOptions,
  RedisConnection,
  RedisFencingOptions,
  RedisServerOptions,
  RedisConnectionOptions,
  RedisStoreOptions,
  RedisTlsOptions,
  RedisUrlOptions,
} from 'loquet/types'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'

check<Equal<Parameters<typeof redisStore>, [options: RedisStoreOptions]>>()
check<Equal<ReturnType<typeof redisStore>, { factory: () => RedisStore }>>()
check<Equal<ConstructorParameters<typeof RedisStore>, [options: RedisStoreOptions]>>()
check<Equal<RedisStoreOptions, RedisConnectionOptions | RedisUrlOptions | RedisClusterOptions>>()
check<Equal<RedisConnectionOptions['connection'], RedisConnection>>()
check<Equal<keyof RedisConnectionOptions, 'connection' | 'fencing'>>()
check<Equal<RedisStoreOptions['fencing'], boolean | undefined>>()
check<Equal<RedisFencingOptions, { fencing?: boolean }>>()
check<Equal<ReturnType<RedisStore['saveFenced']>, Promise<bigint | false>>>()
check<Equal<RedisStoreOptions['connection'], RedisConnection | undefined>>()
check<Equal<RedisUrlOptions['url'], string | undefined>>()
check<Equal<RedisServerOptions['tls'], boolean | RedisTlsOptions | undefined>>()
check<
  Equal<
    RedisTlsOptions,
    {
      ca?: string | Uint8Array | (string | Uint8Array)[]
      cert?: string | Uint8Array
      key?: string | Uint8Array
      servername?: string
      rejectUnauthorized?: boolean
    }
  >
>()

/** The driver's entry has the types of its options too. */
check<
  Equal<
    [
      driver.RedisClusterOptions,
      driver.RedisConnection,
      driver.RedisServerOptions,
      driver.RedisConnectionOptions,
      driver.RedisStoreOptions,
      driver.RedisTlsOptions,
      driver.RedisUrlOptions,
    ],
    [
      RedisClusterOptions,
      RedisConnection,
      RedisServerOptions,
      RedisConnectionOptions,
      RedisStoreOptions,
      RedisTlsOptions,
      RedisUrlOptions,
    ]
  >
>()

/** Whatever ioredis makes is a connection, and so is what the peer takes for one. */
export const connections: RedisConnection[] = [
  new Redis(),
  new Cluster([]),
  some<verrou.RedisStoreOptions['connection']>(),
]
export const options: RedisStoreOptions = some<verrou.RedisStoreOptions>()
// @ts-expect-error Not a connection.
redisStore({ connection: 'main' })
// @ts-expect-error Nothing like one.
redisStore({ connection: { password: '' } })

/** The four ways. */
export const stores = [
  redisStore({ connection: new Redis() }),
  redisStore({ url: 'rediss://localhost' }),
  redisStore({ url: 'redis://localhost', keyPrefix: 'app:', tls: { ca: Buffer.from('') } }),
  redisStore({ host: 'localhost', port: '6379', password: '', db: 1, tls: true }),
  redisStore({ path: '/tmp/redis.sock' }),
  redisStore({ sentinels: [{ host: 'one' }], name: 'main', sentinelPassword: '', natMap: {} }),
  redisStore({
    clusters: [{ host: 'one', port: 1 }],
    clusterOptions: { redisOptions: { tls: {} } },
  }),
  redisStore({}),
]
// @ts-expect-error Misspelled.
redisStore({ hots: 'localhost' })
// @ts-expect-error A number of milliseconds.
redisStore({ commandTimeout: '5s' })
// @ts-expect-error Options there are.
redisStore()

/** The store is a store of ours and of the peer; calling it directly gives promises. */
const store = new RedisStore({ url: 'redis://localhost' })
export const ours: LockStore = store
export const peers: verrou.LockStore = store
check<Equal<ReturnType<RedisStore['save']>, Promise<boolean>>>()
check<Equal<ReturnType<RedisStore['delete']>, Promise<void>>>()
check<Equal<ReturnType<RedisStore['forceDelete']>, Promise<void>>>()
check<Equal<ReturnType<RedisStore['exists']>, Promise<boolean>>>()
check<Equal<ReturnType<RedisStore['extend']>, Promise<void>>>()
check<Equal<keyof RedisStore, keyof LockStore>>()
export const factories = [
  new LockFactory(store),
  new Verrou({ default: 'redis', stores: { redis: { driver: stores[0] } } }),
]
