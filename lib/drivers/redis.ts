import { ENDLESS, parseDuration } from '../duration.js'
import { BY_NAME, Lease } from '../engine/lease.js'
import { nativeStores } from '../engine/native_stores.js'
import { ServerEngine } from '../engine/server_engine.js'
import { encodeKey } from '../key.js'
import { noopLogger } from '../logger.js'
import { assertKey, invalid } from '../validation.js'
import type { Logger, LockStore, RedisStoreOptions } from '../types/main.js'
import { ConnectionStore } from './redis/connection_store.js'
import { Origin } from './redis/origin.js'

export type {
  RedisClusterOptions,
  RedisConnection,
  RedisServerOptions,
  RedisConnectionOptions,
  RedisStoreOptions,
  RedisTlsOptions,
  RedisUrlOptions,
} from '../types/main.js'

const METHODS = ['save', 'delete', 'forceDelete', 'exists', 'extend'] as const

/** The code of the process warning that takes the place of a line in the log. */
const WARNING = 'LOQUET_REDIS_CONNECTION'

/** What has been said without a logger; once in a process is enough. */
const warned = new Set<string>()

/**
 * Keeps locks in Redis. A key is stored as it is (behind `keyPrefix`), its value is the owner, and it expires by itself:
 * just as `@verrou/core` does, so that both may be used side by side.
 *
 * The store has a native connection of its own, which takes its settings from the ioredis instance or the options.
 * Stores with the same settings share one. It is made with the first lock and doesn't keep the process alive. Where the
 * settings can't be carried over, the store uses the app's own ioredis connection, and says so once: in the log of
 * whoever uses it, or as a process warning with the code `LOQUET_REDIS_CONNECTION`.
 */
export class RedisStore implements LockStore {
  /** One of the two is there. */
  readonly #engine: ServerEngine | undefined
  readonly #connection: ConnectionStore | undefined
  /** What the user should know, until it has been told. */
  readonly #remarks: string[] = []
  /** Where it is told; nowhere yet, as long as nobody uses the store. */
  #logger: Logger | undefined

  /**
   * Connects to nothing yet.
   *
   * @throws InvalidArgumentsException if the options can't be used
   */
  constructor(options: RedisStoreOptions) {
    const { translation, source } = options instanceof Origin ? options : Origin.of(options)
    if (translation.kind === 'native') {
      const { settings, keyPrefix, warnings } = translation
      this.#engine = new ServerEngine(settings, keyPrefix)
      this.#engine.onNotice((text) => this.#remark(text))
      for (const warning of warnings) this.#remark(`Redis lock store: ${warning}`)
    } else {
      this.#connection = new ConnectionStore(source)
      this.#remark(
        `The redis lock store runs on the app's own ioredis connection, since ${translation.reason}`
      )
    }
    nativeStores.set(this, {
      engine: () => this.#engineToUse(),
      announce: (logger) => this.#announce(logger),
    })
  }

  /**
   * Saves the lock unless the key is locked already.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   * @throws E_LOCK_STORAGE_ERROR if the server can't be asked
   */
  async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    assertKey(key)
    assertOwner(owner)
    const millis = parseDuration(ttl, 'lock TTL')
    this.#announce(noopLogger)
    if (this.#connection) {
      return this.#connection.save(key, owner, millis === ENDLESS ? null : millis)
    }
    return (await this.#engine!.attempt(encodeKey(key), owner, millis)) !== null
  }

  /**
   * Deletes the lock if `owner` holds it.
   *
   * @throws E_LOCK_NOT_OWNED if `owner` doesn't hold it; E_LOCK_STORAGE_ERROR if the server can't be asked
   */
  async delete(key: string, owner: string): Promise<void> {
    assertKey(key)
    assertOwner(owner)
    this.#announce(noopLogger)
    await (this.#connection?.delete(key, owner) ?? this.#engine!.release(leaseOf(key, owner)))
  }

  /**
   * Deletes the lock whoever holds it.
   *
   * @throws E_LOCK_STORAGE_ERROR if the server can't be asked
   */
  async forceDelete(key: string): Promise<void> {
    assertKey(key)
    this.#announce(noopLogger)
    await (this.#connection?.forceDelete(key) ?? this.#engine!.forceRelease(encodeKey(key)))
  }

  /**
   * Tells whether somebody holds the lock.
   *
   * @throws E_LOCK_STORAGE_ERROR if the server can't be asked
   */
  async exists(key: string): Promise<boolean> {
    assertKey(key)
    this.#announce(noopLogger)
    return this.#connection?.exists(key) ?? this.#engine!.exists(encodeKey(key))
  }

  /**
   * Makes the lease end `duration` milliseconds from now if `owner` holds it. An expired lease is not revived.
   *
   * @throws E_LOCK_NOT_OWNED if `owner` doesn't hold it; E_LOCK_STORAGE_ERROR if the server can't be asked
   */
  async extend(key: string, owner: string, duration: number): Promise<void> {
    assertKey(key)
    assertOwner(owner)
    const millis = parseDuration(duration, 'lock duration')
    if (millis === ENDLESS)
      throw invalid('lock duration', 'a positive number of milliseconds', duration)
    this.#announce(noopLogger)
    await (this.#connection?.extend(key, owner, millis) ??
      this.#engine!.extend(leaseOf(key, owner), millis))
  }

  #engineToUse(): ServerEngine | undefined {
    // Somebody who overrides a method wants it to be called.
    const isPlain = METHODS.every((method) => this[method] === RedisStore.prototype[method])
    return isPlain ? this.#engine : undefined
  }

  /** Somebody uses the store: what there is to say is said, here and from now on. */
  #announce(logger: Logger): void {
    if (this.#logger === undefined || this.#logger === noopLogger) this.#logger = logger
    for (const text of this.#remarks.splice(0)) this.#remark(text)
  }

  #remark(text: string): void {
    const logger = this.#logger
    if (logger === undefined) this.#remarks.push(text)
    else if (logger === noopLogger) warn(text)
    else {
      try {
        logger.warn({ store: 'redis' }, text)
      } catch {
        // A logger that fails must cost nobody a lock.
      }
    }
  }
}

/**
 * A factory of redis stores: `redisStore({ connection })` with an ioredis instance, `redisStore({ url })`, or plain
 * options. What `factory` makes connects with the first lock.
 *
 * @throws InvalidArgumentsException (when `factory` is called) if the options can't be used
 */
export function redisStore(options: RedisStoreOptions): { factory: () => RedisStore } {
  return { factory: () => new RedisStore(options) }
}

/** Says something where there is no logger. */
function warn(text: string): void {
  if (warned.has(text)) return
  warned.add(text)
  process.emitWarning(text, { code: WARNING })
}

function leaseOf(key: string, owner: string): Lease {
  return new Lease(encodeKey(key), owner, Number.POSITIVE_INFINITY, BY_NAME)
}

function assertOwner(owner: string): void {
  if (typeof owner !== 'string' || owner === '') {
    throw invalid('lock owner', 'a non-empty string', owner)
  }
}
