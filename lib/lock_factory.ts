import { resolveAutoExtend } from './auto_extend.js'
import { recognizeCopies } from './copies.js'
import { parseDuration } from './duration.js'
import { anchors } from './engine/anchors.js'
import { nativeStores } from './engine/native_stores.js'
import { engineOf } from './engine/resolve.js'
import { InvalidArgumentsException } from './errors.js'
import { Lock } from './lock.js'
import { packageLogger } from './logger.js'
import { resolveRetry } from './retry.js'
import { Scope } from './scope.js'
import { cleanUp, releaseAll, resolveClose } from './shutdown.js'
import { assertSerializedLock, assertStore, invalid } from './validation.js'
import type {
  CloseOptions,
  CreateLockOptions,
  Duration,
  LockFactoryOptions,
  LockStore,
  SerializedLock,
  StoreStats,
} from './types/main.js'

/** Milliseconds that a lease lasts unless said otherwise. */
const DEFAULT_TTL = 30_000

/**
 * Makes locks on one store.
 */
export class LockFactory {
  readonly #store: LockStore
  readonly #scope: Scope
  /** The same but for `fencing`, once a lock was made that differs. */
  #otherScope: Scope | undefined

  /**
   * @param store - Where the locks are kept: any object with the five methods of a `LockStore`
   * @param options - Retry defaults and the logger
   * @throws InvalidArgumentsException if the store lacks a method or an option can't be used
   */
  constructor(store: LockStore, options: LockFactoryOptions = {}) {
    assertStore(store, 'lock store')
    this.#store = store
    const config = {
      retry: resolveRetry(options.retry),
      logger: packageLogger(options.logger),
      autoExtend: resolveAutoExtend(options.autoExtend),
      fencing: resolveFencing(options.fencing, store.fencing),
    }
    this.#scope = new Scope(config, options.name ?? store.constructor?.name)
    if (config.fencing) assertFences(store)
    nativeStores.get(store)?.announce(config.logger)
    anchors.locks.set(this, new Lock('anchor', store, this.#scope))
  }

  /**
   * Makes a lock; acquires nothing yet.
   *
   * @param name - The key to lock, any non-empty string
   * @param ttl - How long a lease lasts unless it is extended; `null` for ever
   * @throws InvalidArgumentsException if the key, the TTL or an option can't be used
   */
  createLock(name: string, ttl: Duration = DEFAULT_TTL, options?: CreateLockOptions): Lock {
    const millis = ttl === DEFAULT_TTL ? DEFAULT_TTL : parseDuration(ttl, 'lock TTL')
    const scope = options === undefined ? this.#scope : this.#scopeFor(options)
    return new Lock(name, this.#store, scope, undefined, millis || null)
  }

  /**
   * Makes a lock again from what `serialize()` returned, in this process or another: it can release and extend what
   * was acquired there.
   *
   * @throws InvalidArgumentsException if a field is missing or ill-typed
   */
  restoreLock(lock: SerializedLock): Lock {
    assertSerializedLock(lock)
    return new Lock(lock.key, this.#store, this.#scope, lock.owner, lock.ttl, lock.expirationTime)
  }

  /**
   * Ends waiting acquires with E_LOCK_CLOSED and refuses new ones, at once. Locks that are held can still be released;
   * with `release` that is done here.
   *
   * @returns Resolves when what is to be released is released and nobody who waited has left a lease behind, or the time is
   * over
   * @throws InvalidArgumentsException if an option can't be used
   */
  close(options?: CloseOptions): Promise<void> {
    try {
      const { release, timeout } = resolveClose(options)
      const engine = engineOf(this.#store)
      const scopes = [this.#scope, this.#otherScope].filter((scope) => scope !== undefined)
      for (const scope of scopes) {
        scope.isClosed = true
        engine.close(scope)
      }
      return release ? releaseAll(engine, scopes, timeout) : cleanUp(engine, timeout)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * What is known in this process of waits and leases of the store, and of what it costs to speak to it.
   */
  stats(): StoreStats {
    return engineOf(this.#store).stats()
  }

  #scopeFor(options: CreateLockOptions): Scope {
    if (typeof options !== 'object' || options === null) {
      throw invalid('lock options', 'an object with fencing', options)
    }
    const fencing = resolveFencing(options.fencing, this.#scope.fencing)
    if (fencing === this.#scope.fencing) return this.#scope
    if (fencing) assertFences(this.#store)
    if (this.#otherScope === undefined) {
      const { storeName, holdings, isClosed } = this.#scope
      this.#otherScope = new Scope({ ...this.#scope, fencing }, storeName, holdings)
      this.#otherScope.isClosed = isClosed
    }
    return this.#otherScope
  }
}

recognizeCopies(LockFactory, 'LockFactory')

function resolveFencing(value: unknown, otherwise: boolean | undefined): boolean {
  if (value === undefined) return otherwise === true
  if (typeof value !== 'boolean') throw invalid('fencing', 'a boolean', value)
  return value
}

function assertFences(store: LockStore): void {
  if (typeof store.saveFenced === 'function') return
  throw new InvalidArgumentsException(
    `The store ${store.constructor?.name ?? ''} can't make fencing tokens: it has no method saveFenced`
  )
}
