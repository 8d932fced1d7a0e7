/**
 * Public types of the core: stores, locks, retries and durations.
 */

/**
 * A span of time: milliseconds as a number (fractions round up), a string such as `'10s'`, `'1m'` or `'2 hours'`
 * (parsed by {@link https://github.com/lukeed/ms | @lukeed/ms}), or `null` for "no expiry" / "no limit".
 */
export type Duration = number | string | null

/**
 * What a lock store has to do. Methods may be synchronous or return promises.
 *
 * Errors that a custom store throws reach the caller of the lock untouched. `delete` and `extend` report a lock that
 * isn't held by `owner` by throwing `E_LOCK_NOT_OWNED`.
 */
export interface LockStore {
  /**
   * Saves the lock unless the key is locked already.
   *
   * @param key - The key to lock
   * @param owner - The identity of this acquisition
   * @param ttl - Milliseconds until the lease expires; `null` means that it doesn't
   * @returns `true` if the lock was acquired, `false` if somebody else holds it
   */
  save(key: string, owner: string, ttl: number | null): Promise<boolean> | boolean

  /**
   * Deletes the lock if `owner` holds it, otherwise throws `E_LOCK_NOT_OWNED`.
   */
  delete(key: string, owner: string): Promise<void> | void

  /**
   * Deletes the lock whoever holds it. Does nothing if nobody does.
   */
  forceDelete(key: string): Promise<void> | void

  /**
   * Tells whether somebody holds a live lease of the key.
   */
  exists(key: string): Promise<boolean> | boolean

  /**
   * Makes the lease end `duration` milliseconds from now if `owner` holds it, otherwise throws `E_LOCK_NOT_OWNED`.
   */
  extend(key: string, owner: string, duration: number): Promise<void> | void

  /**
   * Like `save`, and gives the acquisition a fencing token in the same step: a positive integer below 2^53 that is greater
   * than every token of the key before, whoever held it, however their leases ended. The better of two candidates, one more
   * than the last token and the microseconds since the Unix epoch, also is greater when the storage has lost the last token.
   *
   * Optional: without it the store's locks can't be fenced.
   *
   * @returns The token if the lock was acquired, `false` if somebody else holds it
   */
  saveFenced?(
    key: string,
    owner: string,
    ttl: number | null
  ): Promise<bigint | false> | bigint | false

  /**
   * Whether the locks of the store are fenced unless they say otherwise; then it has `saveFenced`.
   */
  readonly fencing?: boolean
}

/**
 * How a store is named in a config: an object whose `driver.factory` makes the store on first use.
 */
export interface StoreFactory {
  driver: {
    factory: () => LockStore
  }
}

/**
 * A lock as plain JSON, made by `Lock.serialize()` and taken by `restoreLock()`, in this process or another one.
 */
export interface SerializedLock {
  /** The locked key. */
  key: string
  /** The identity under which the lock was acquired. */
  owner: string
  /** Milliseconds that a lease lasts; `null` for ever. */
  ttl: number | null
  /** When the lease ends, in milliseconds since the Unix epoch; `null` if it doesn't or isn't held. */
  expirationTime: number | null
}

/**
 * How long and how often `acquire` tries.
 */
export interface RetryConfig {
  /**
   * How many chances an acquire has: a positive integer or `Infinity`.
   *
   * @default Number.POSITIVE_INFINITY
   */
  attempts?: number

  /**
   * The time between two chances. A release in the same process wakes the next waiter without waiting for it.
   *
   * @default 250
   */
  delay?: Duration

  /**
   * The longest time an acquire may take, time inside store calls included.
   *
   * @default undefined (no limit)
   */
  timeout?: Duration
}

/**
 * Options of `Lock.acquire`, `Lock.run`.
 */
export interface LockAcquireOptions {
  /** Overrides the factory's retry settings, one by one. */
  retry?: RetryConfig

  /**
   * Ends the wait: the acquire rejects with the signal's reason, its place in the queue is freed and no lease stays
   * behind. Has no effect once the lock is acquired.
   */
  signal?: AbortSignal

  /**
   * Whether the lease is extended while it is held, and for how long at most. `true` means the factory's limits, or the
   * usual ones. A lock without TTL needs no extension.
   *
   * @default The factory's setting; without one, `false`
   */
  autoExtend?: boolean | AutoExtendOptions
}

/**
 * The leash of a lease that is extended while it is held.
 */
export interface AutoExtendOptions {
  /**
   * How long the lease may last in all, from its grant on; `null` for as long as it is held.
   *
   * @default '1h'
   */
  max?: Duration

  /**
   * How long the event loop may be busy with one thing: after that the lease is not extended until the event loop turns
   * again, so that a process that hangs doesn't hold a lock for ever. `null` for as long as it likes.
   *
   * @default '1m'
   */
  stall?: Duration
}

/**
 * Settings of automatic extension after validation: milliseconds, `Infinity` for no limit.
 */
export interface ResolvedAutoExtend {
  max: number
  stall: number
}

/**
 * Options of `createLock`.
 */
export interface CreateLockOptions {
  /**
   * Whether each acquisition gets a fencing token.
   *
   * @default The factory's setting; without one, the store's
   */
  fencing?: boolean
}

/**
 * Options of `Verrou.close` and `LockFactory.close`.
 */
export interface CloseOptions {
  /**
   * Whether what is held by locks of this manager is released. Their signals are aborted with E_LOCK_LOST, its reason is
   * `closed`. Locks that were restored with `restoreLock` belong to whoever acquired them.
   *
   * @default false
   */
  release?: boolean

  /**
   * How long that may take, and that what is granted to waits that were ended is given back; `null` for as long as it takes.
   * What couldn't be released by then is logged with its key and left to its TTL.
   *
   * @default '5s'
   */
  timeout?: Duration
}

/**
 * The part of a logger that is used. pino's and AdonisJS's loggers have it.
 */
export interface Logger {
  child(bindings: Record<string, unknown>): Logger
  trace(bindings: object, message?: string): void
  debug(bindings: object, message?: string): void
  info(bindings: object, message?: string): void
  warn(bindings: object, message?: string): void
  error(bindings: object, message?: string): void
  fatal(bindings: object, message?: string): void
  isLevelEnabled?(level: string): boolean
}

/**
 * Options of `new LockFactory`.
 */
export interface LockFactoryOptions {
  /** What the store is called in what is told of its locks; the name of its class unless given. */
  name?: string
  /** Retry defaults for the locks of this factory. */
  retry?: RetryConfig
  /** Where to log; a child with `pkg: 'loquet'` is made of it. Nothing is logged without it. */
  logger?: Logger
  /** Whether leases are extended while they are held; see {@link LockAcquireOptions.autoExtend}. */
  autoExtend?: boolean | AutoExtendOptions
  /** Whether the locks of this factory have fencing tokens; the store's setting unless given. */
  fencing?: boolean
}

/**
 * A lock's settings after validation.
 */
export interface ResolvedLockConfig {
  retry: {
    /** A positive integer or `Infinity`. */
    attempts: number
    /** Milliseconds. */
    delay: number
    /** Milliseconds. */
    timeout?: number
  }
  logger: Logger
  /** `null` or missing: leases are not extended. */
  autoExtend?: ResolvedAutoExtend | null
  fencing?: boolean
}

/**
 * What a redis store needs of a connection that the app has made with ioredis: a `Redis` or a `Cluster`, or something
 * that behaves like one.
 */
export interface RedisConnection {
  set(
    key: string,
    value: string,
    millisecondsToken: 'PX',
    milliseconds: number,
    nx: 'NX'
  ): Promise<unknown>
  set(key: string, value: string, nx: 'NX'): Promise<unknown>
  del(key: string): Promise<unknown>
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
}

/**
 * How to encrypt the connection to a Redis server; as in Node.js. Certificates and keys are PEM.
 */
export interface RedisTlsOptions {
  /** The authorities that are trusted, instead of those that Node.js trusts. */
  ca?: string | Uint8Array | (string | Uint8Array)[]
  /** The certificate chain of this client, for servers that ask for one. */
  cert?: string | Uint8Array
  /** Its key, not encrypted. */
  key?: string | Uint8Array
  /** The name that the server's certificate must bear, if not the host's. */
  servername?: string
  /**
   * Whether a server whose certificate doesn't fit is refused.
   *
   * @default true
   */
  rejectUnauthorized?: boolean
}

/**
 * How a Redis server is reached. The names are those of ioredis; times are in milliseconds.
 */
export interface RedisServerOptions {
  /** @default 'localhost' */
  host?: string
  /** @default 6379 */
  port?: number | string
  /** A unix socket, instead of host and port. */
  path?: string
  username?: string
  password?: string
  /** @default 0 */
  db?: number
  /** Which addresses of a host name are used: 4, 6 or, with 0, any. */
  family?: number
  /** Put before every key. */
  keyPrefix?: string
  /**
   * How long it may take to connect, TLS and login included.
   *
   * @default 10_000
   */
  connectTimeout?: number
  /**
   * How long a call waits for the server; it then rejects with E_LOCK_STORAGE_ERROR.
   *
   * @default 5_000
   */
  commandTimeout?: number
  /** How long a silent connection waits before the operating system probes it. */
  keepAlive?: number
  /** What the connection is called in `CLIENT LIST`. */
  connectionName?: string
  /** `true` for the defaults. */
  tls?: boolean | RedisTlsOptions
  /** Sentinels that know where the primary is. */
  sentinels?: { host?: string; port?: number }[]
  /** What the sentinels call the primary. */
  name?: string
  sentinelUsername?: string
  sentinelPassword?: string
  /** TLS to the sentinels. */
  sentinelTLS?: boolean | RedisTlsOptions
  /** Whether `tls` counts for a primary that sentinels have told. */
  enableTLSForSentinelMode?: boolean
  /** For networks that translate addresses: what to use instead of the `host:port` that a server tells. */
  natMap?: Record<string, { host: string; port: number }>
}

/**
 * What every redis store may be told, however its server is reached.
 */
export interface RedisFencingOptions {
  /**
   * Whether locks bear fencing tokens unless they say otherwise. The last token of a key stays on the server for 7 days after
   * the last fenced acquisition.
   *
   * @default false
   */
  fencing?: boolean
}

/**
 * How a Redis cluster is reached; the form is that of `config/redis.ts` in AdonisJS.
 */
export interface RedisClusterOptions extends RedisFencingOptions {
  /** Some of its nodes; they tell the others. */
  clusters: { host: string; port: number | string }[]
  clusterOptions?: {
    /** What is the same for all nodes. */
    redisOptions?: Omit<RedisServerOptions, 'host' | 'port' | 'path' | 'db' | 'natMap'>
    keyPrefix?: string
    natMap?: Record<string, { host: string; port: number }>
  }
  connection?: undefined
}

/**
 * Options of a store that takes its settings from an ioredis instance.
 */
export interface RedisConnectionOptions extends RedisFencingOptions {
  /** A `Redis` or a `Cluster` of ioredis. Its settings are read once; it may be connected or not. */
  connection: RedisConnection
}

/**
 * Options of a store that has a URL, plain options, or both; the URL counts more.
 */
export interface RedisUrlOptions extends RedisServerOptions, RedisFencingOptions {
  /** `redis://`, or `rediss://` for TLS: `redis://user:password@host:6379/0` */
  url?: string
  connection?: undefined
}

/**
 * Options of a store that keeps its locks in Redis: the ways to say where that is.
 */
export type RedisStoreOptions = RedisConnectionOptions | RedisUrlOptions | RedisClusterOptions

export type * from './database.js'
export type * from './dynamodb.js'
export type * from './stats.js'
