import { recognizeCopies } from './copies.js'
import { parseDuration } from './duration.js'
import { anchors } from './engine/anchors.js'
import { nativeStores } from './engine/native_stores.js'
import { engineOf } from './engine/resolve.js'
import { markClosed } from './lifetime.js'
import { Lock } from './lock.js'
import { packageLogger } from './logger.js'
import { resolveRetry } from './retry.js'
import { assertSerializedLock, assertStore } from './validation.js'
import type {
  Duration,
  LockFactoryOptions,
  LockStore,
  ResolvedLockConfig,
  SerializedLock,
} from './types/main.js'

/** Milliseconds that a lease lasts unless said otherwise. */
const DEFAULT_TTL = 30_000

/**
 * Makes locks on one store.
 */
export class LockFactory {
  readonly #store: LockStore
  readonly #config: ResolvedLockConfig

  /**
   * @param store - Where the locks are kept: any object with the five methods of a `LockStore`
   * @param options - Retry defaults and the logger
   * @throws InvalidArgumentsException if the store lacks a method or an option can't be used
   */
  constructor(store: LockStore, options: LockFactoryOptions = {}) {
    assertStore(store, 'lock store')
    this.#store = store
    this.#config = {
      retry: resolveRetry(options.retry),
      logger: packageLogger(options.logger),
    }
    nativeStores.get(store)?.announce(this.#config.logger)
    anchors.locks.set(this, new Lock('anchor', store, this.#config))
  }

  /**
   * Makes a lock; acquires nothing yet.
   *
   * @param name - The key to lock, any non-empty string
   * @param ttl - How long a lease lasts unless it is extended; `null` for ever
   * @throws InvalidArgumentsException if the key or the TTL can't be used
   */
  createLock(name: string, ttl: Duration = DEFAULT_TTL): Lock {
    const millis = ttl === DEFAULT_TTL ? DEFAULT_TTL : parseDuration(ttl, 'lock TTL')
    return new Lock(name, this.#store, this.#config, undefined, millis || null)
  }

  /**
   * Makes a lock again from what `serialize()` returned, in this process or another: it can release and extend what
   * was acquired there.
   *
   * @throws InvalidArgumentsException if a field is missing or ill-typed
   */
  restoreLock(lock: SerializedLock): Lock {
    assertSerializedLock(lock)
    return new Lock(lock.key, this.#store, this.#config, lock.owner, lock.ttl, lock.expirationTime)
  }

  /**
   * Ends waiting acquires with E_LOCK_CLOSED and refuses new ones. Locks that are held can still be released.
   */
  close(): void {
    markClosed(this.#config)
    engineOf(this.#store).close(this.#config)
  }
}

recognizeCopies(LockFactory, 'LockFactory')
