import { recognizeCopies } from './copies.js'
import { ENDLESS, parseDuration } from './duration.js'
import { BY_NAME, Lease, SCOPE, SETTLED } from './engine/lease.js'
import type { AcquireRequest, LockEngine, Waited } from './engine/lease.js'
import { engineOf } from './engine/resolve.js'
import { E_LOCK_CLOSED, E_LOCK_NOT_OWNED, InvalidArgumentsException } from './errors.js'
import { decodeKey, encodeKey } from './key.js'
import { isClosed } from './lifetime.js'
import { noopLogger } from './logger.js'
import { native } from './native.js'
import { newOwner } from './owner.js'
import { resolveRetry } from './retry.js'
import { assertKey, invalid } from './validation.js'
import type {
  Duration,
  LockAcquireOptions,
  LockStore,
  ResolvedLockConfig,
  SerializedLock,
} from './types/main.js'

/** What `run` returns: whether the callback ran, and what it returned. */
export type RunResult<T> = [executed: true, result: T] | [executed: false, result: null]

/** Promises that are settled already; shared, since nobody can tell one from another. */
const DONE: Promise<void> = Promise.resolve()
const ACQUIRED: Promise<boolean> = Promise.resolve(true)
const REFUSED: Promise<boolean> = Promise.resolve(false)

const ONCE = { attempts: 1, delay: 0 }

/**
 * A lock on one key. Made by `createLock` or `restoreLock`.
 *
 * A lock is not re-entrant: a second `acquire` of the same object waits like any other. Each acquisition has an owner of
 * its own.
 */
export class Lock {
  /** The key as the engine knows it, see `encodeKey`. */
  readonly #encodedKey: string
  readonly #engine: LockEngine
  readonly #config: ResolvedLockConfig
  /** Milliseconds; `ENDLESS` for no expiry. */
  readonly #ttl: number
  /** The owner of the first acquisition, once somebody has asked for it or given it. */
  #owner: string | undefined
  /** Whether an acquire is under way that would be the first. */
  #isFirstUnderWay = false
  /** What was acquired, extended or restored last. */
  #lease: Lease | null = null

  /**
   * @param key - The key to lock, any non-empty string
   * @param lockStore - Any object with the five methods of a `LockStore`
   * @param config - Retry defaults and the logger
   * @param owner - The identity of the first acquisition, or of the one that is restored
   * @param ttl - Milliseconds that a lease lasts; `null` for ever
   * @param expirationTime - When the restored lease ends, in milliseconds since the Unix epoch
   * @throws InvalidArgumentsException if an argument can't be used
   */
  constructor(
    key: string,
    lockStore: LockStore,
    config: ResolvedLockConfig,
    owner?: string,
    ttl?: number | null,
    expirationTime?: number | null
  ) {
    assertKey(key)
    if (owner !== undefined && (typeof owner !== 'string' || owner === '')) {
      throw invalid('lock owner', 'a non-empty string', owner)
    }
    this.#encodedKey = encodeKey(key)
    this.#engine = engineOf(lockStore)
    this.#config = config
    this.#owner = owner
    this.#ttl = ttl === undefined ? ENDLESS : parseDuration(ttl, 'lock TTL')
    if (owner !== undefined && typeof expirationTime === 'number') {
      const endsAt = native.now() + (expirationTime - Date.now())
      this.#lease = new Lease(this.#encodedKey, owner, endsAt)
      this.#lease.expirationTime = expirationTime
    }
  }

  /**
   * Acquires the lock, waiting until it is free, until the chances or the time of `retry` are used up, or until `signal`
   * is aborted.
   *
   * @returns `true` if the lock was acquired, `false` if chances or time were used up. Never throws for contention
   * @throws InvalidArgumentsException if an option can't be used; the signal's reason if it is aborted; E_LOCK_CLOSED if
   * the lock manager is closed; whatever a custom store throws
   */
  acquire(options?: LockAcquireOptions): Promise<boolean> {
    try {
      const started = this.#start(options, false)
      if (started instanceof Promise) return started as Promise<boolean>
      return started === null ? REFUSED : ACQUIRED
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Tries to acquire the lock once, without waiting.
   *
   * @returns Whether the lock was acquired
   */
  acquireImmediately(): Promise<boolean> {
    return this.acquire({ retry: ONCE })
  }

  /**
   * Acquires the lock, runs the callback and releases what was acquired.
   *
   * @param callback - Gets this lock. Its error wins over a failing release, which is logged
   * @param options - As for `acquire`
   * @returns `[true, result]`, or `[false, null]` if the lock couldn't be acquired
   * @throws E_LOCK_NOT_OWNED with the callback's `result`, if the lease was lost while the callback ran; what `acquire`
   * throws
   */
  run<T>(
    callback: (lock: Lock) => Promise<T> | T,
    options?: LockAcquireOptions
  ): Promise<RunResult<T>> {
    try {
      if (typeof callback !== 'function') throw invalid('callback', 'a function', callback)
      return this.#runWith(callback, this.#start(options, true))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * As `run`, but tries to acquire the lock only once, without waiting.
   */
  runImmediately<T>(callback: (lock: Lock) => Promise<T> | T): Promise<RunResult<T>> {
    return this.run(callback, { retry: ONCE })
  }

  /**
   * Releases the lock.
   *
   * @throws E_LOCK_NOT_OWNED if it isn't held: never acquired, expired, taken over or freed by force
   */
  release(): Promise<void> {
    try {
      return this.#release(this.#lease ?? this.#unconfirmedLease()) ?? DONE
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Frees the key whoever holds it.
   */
  async forceRelease(): Promise<void> {
    await this.#engine.forceRelease(this.#encodedKey)
    if (this.#lease !== null) this.#lease.released = true
    this.#debug('Lock released by force')
  }

  /**
   * Makes the lease end the given time from now. An expired lease is not revived.
   *
   * @param ttl - The lock's own TTL unless given
   * @throws E_LOCK_NOT_OWNED if the lock isn't held; InvalidArgumentsException if the lock has no TTL and none is given,
   * or if it can't be used
   */
  async extend(ttl?: Duration): Promise<void> {
    const millis = ttl === undefined || ttl === null ? this.#ttl : parseDuration(ttl, 'lock TTL')
    if (millis === ENDLESS) throw new InvalidArgumentsException('Cannot extend a lock without TTL')
    const lease = this.#lease ?? this.#unconfirmedLease()
    await this.#engine.extend(lease, millis)
    this.#lease ??= lease
    this.#debug('Lock extended')
  }

  /**
   * Tells whether somebody, anybody, holds the key.
   */
  async isLocked(): Promise<boolean> {
    return this.#engine.exists(this.#encodedKey)
  }

  /**
   * Whether the lease that this object acquired, extended or restored last is over. `false` before that, after
   * `release`, and for a lock without TTL.
   */
  isExpired(): boolean {
    const remaining = this.getRemainingTime()
    return remaining !== null && remaining <= 0
  }

  /**
   * Milliseconds until the lease ends that this object acquired, extended or restored last; negative once it is over.
   * `null` before that, after `release`, and for a lock without TTL.
   */
  getRemainingTime(): number | null {
    const lease = this.#lease
    if (lease === null || lease.released || lease.endsAt === Number.POSITIVE_INFINITY) return null
    return lease.endsAt - native.now()
  }

  /**
   * The owner of the last acquisition, or of the first one if there hasn't been any.
   */
  getOwner(): string {
    if (this.#lease !== null) return this.#engine.nameOf(this.#lease)
    return (this.#owner ??= newOwner())
  }

  /**
   * The lock as plain JSON, for `restoreLock` in this process or another one.
   */
  serialize(): SerializedLock {
    return {
      key: decodeKey(this.#encodedKey),
      owner: this.getOwner(),
      ttl: this.#ttl === ENDLESS ? null : this.#ttl,
      expirationTime: this.#expirationTime(),
    }
  }

  toJSON(): SerializedLock {
    return this.serialize()
  }

  /**
   * An acquire that had to wait has ended.
   *
   * @internal
   */
  [SETTLED](lease: Lease | null, isFirst: boolean, isTainted = false): void {
    if (isFirst) this.#isFirstUnderWay = false
    if (isTainted && !this.#isFirstUnderWay) this.#owner = undefined
    if (lease !== null) this.#take(lease, isFirst)
  }

  /**
   * The settings that this lock was made under.
   *
   * @internal
   */
  get [SCOPE](): object {
    return this.#config
  }

  /** Begins to acquire. What isn't a promise is the answer. */
  #start(
    options: LockAcquireOptions | undefined,
    wantsLease: boolean
  ): Lease | null | Promise<Waited> {
    const config = this.#config
    if (isClosed(config)) throw new E_LOCK_CLOSED()
    let retry = config.retry
    let signal: AbortSignal | undefined
    if (options !== undefined) {
      if (typeof options !== 'object' || options === null) {
        throw invalid('acquire options', 'an object with retry and signal', options)
      }
      retry = options.retry === ONCE ? once(retry) : resolveRetry(options.retry, retry)
      signal = options.signal
      if (signal !== undefined) assertNotAborted(signal)
    }
    // The owner that was shown or given belongs to one acquisition only: the first.
    const isFirst = this.#lease === null && !this.#isFirstUnderWay
    if (isFirst && this.#engine.namesOwners) this.#owner ??= newOwner()
    const request: AcquireRequest = {
      acquirer: this,
      key: this.#encodedKey,
      owner: isFirst ? this.#owner : undefined,
      ttl: this.#ttl,
      retry,
      signal,
      isFirst,
      wantsLease,
    }
    if (isFirst) this.#isFirstUnderWay = true
    let started: Lease | null | Promise<Waited> = null
    try {
      started = this.#engine.acquire(request)
    } finally {
      // A promise has told, or will tell, by itself.
      if (isFirst && !(started instanceof Promise)) this.#isFirstUnderWay = false
    }
    if (started !== null && !(started instanceof Promise)) this.#take(started, isFirst)
    return started
  }

  #take(lease: Lease, isFirst: boolean): void {
    this.#lease = lease
    if (isFirst) {
      // Somebody asked for the owner while the acquire waited.
      if (this.#owner !== undefined) this.#engine.nameOf(lease, this.#owner)
      this.#owner = undefined
    }
    this.#debug('Lock acquired')
  }

  /** Runs a callback under a lease, once it is there, and releases it. */
  async #runWith<T>(
    callback: (lock: Lock) => Promise<T> | T,
    started: Lease | null | Promise<Waited>
  ): Promise<RunResult<T>> {
    const lease = started instanceof Promise ? ((await started) as Lease | null) : started
    if (lease === null) return [false, null]
    let result: T
    try {
      result = await callback(this)
    } catch (error) {
      await this.#releaseAfterError(lease)
      throw error
    }
    // Released by the callback itself: nothing is left to do.
    if (lease.released) return [true, result]
    try {
      const pending = this.#release(lease)
      if (pending !== undefined) await pending
    } catch (error) {
      if (isNotOwned(error)) error.result = result
      throw error
    }
    return [true, result]
  }

  async #releaseAfterError(lease: Lease): Promise<void> {
    if (lease.released) return
    try {
      await this.#release(lease)
    } catch (error) {
      this.#config.logger.warn(
        { key: decodeKey(this.#encodedKey), err: error },
        'Lock could not be released after its callback failed'
      )
    }
  }

  #release(lease: Lease): void | Promise<void> {
    const pending = this.#engine.release(lease)
    if (pending !== undefined) return pending.then(() => this.#released(lease))
    this.#released(lease)
  }

  #released(lease: Lease): void {
    lease.released = true
    this.#debug('Lock released')
  }

  #expirationTime(): number | null {
    const remaining = this.getRemainingTime()
    if (this.#lease === null || remaining === null) return null
    return (this.#lease.expirationTime ??= Math.floor(Date.now() + remaining))
  }

  /** The lease that this object would have if its owner holds the key: it was restored, or never acquired. */
  #unconfirmedLease(): Lease {
    return new Lease(this.#encodedKey, this.getOwner(), Number.POSITIVE_INFINITY, BY_NAME)
  }

  #debug(message: string): void {
    const { logger } = this.#config
    if (logger === noopLogger) return
    try {
      logger.debug({ key: decodeKey(this.#encodedKey) }, message)
    } catch {
      // Called in the midst of settling others: a logger that fails must not cost them their locks.
    }
  }
}

recognizeCopies(Lock, 'Lock')

/** One chance; a timeout that the factory sets still counts, for stores that may hang. */
function once({ timeout }: ResolvedLockConfig['retry']): ResolvedLockConfig['retry'] {
  return timeout === undefined ? ONCE : { ...ONCE, timeout }
}

function assertNotAborted(signal: AbortSignal): void {
  if (
    typeof signal !== 'object' ||
    signal === null ||
    typeof signal.addEventListener !== 'function'
  ) {
    throw invalid('signal', 'an AbortSignal', signal)
  }
  if (signal.aborted) throw signal.reason
}

/** Ours, or that of another copy of this package or of a peer: stores may throw either. */
function isNotOwned(error: unknown): error is E_LOCK_NOT_OWNED {
  return (
    error instanceof E_LOCK_NOT_OWNED ||
    (error instanceof Error && 'code' in error && error.code === 'E_LOCK_NOT_OWNED')
  )
}
