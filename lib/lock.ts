import { ONCE, resolveAcquire } from './acquire_options.js'
import { recognizeCopies } from './copies.js'
import { isAcquireObserved, isReleaseObserved, observeAcquire } from './diagnostics.js'
import { ENDLESS, parseDuration } from './duration.js'
import { BY_NAME, EXTEND, Lease, RELEASE, SCOPE, SETTLED, isSlow, tokenOf } from './engine/lease.js'
import type { AcquireRequest, LockEngine, Waited } from './engine/lease.js'
import {
  expirationTimeOf,
  isHeld,
  remainingTime,
  restoredLease,
  signalOf,
} from './engine/lease_life.js'
import { E_LOCK_CLOSED, E_LOCK_NOT_ACQUIRED, InvalidArgumentsException } from './errors.js'
import { HeldLock } from './held_lock.js'
import { decodeKey, encodeKey } from './key.js'
import { debug, extendLease, releaseLease, releaseObserved } from './lease_calls.js'
import { newOwner } from './owner.js'
import { runUnder } from './run.js'
import type { RunResult } from './run.js'
import { scopeOf } from './scope.js'
import type { Scope } from './scope.js'
import { lookForSelfDeadlock } from './self_deadlock.js'
import { assertKey, invalid } from './validation.js'
import type {
  Duration,
  LockAcquireOptions,
  LockStore,
  ResolvedLockConfig,
  SerializedLock,
} from './types/main.js'

/** Settled already; shared, since nobody can tell one from another. */
const DONE: Promise<void> = Promise.resolve()
const ACQUIRED: Promise<boolean> = Promise.resolve(true)
const REFUSED: Promise<boolean> = Promise.resolve(false)

/** What isn't a promise is the answer. */
type Started = Lease | null | Promise<Waited>

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
  readonly #scope: Scope
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
    this.#encodedKey = encodeKey(key)
    this.#scope = scopeOf(config)
    this.#engine = this.#scope.engineOf(lockStore)
    this.#ttl = ttl === undefined ? ENDLESS : parseDuration(ttl, 'lock TTL')
    if (owner !== undefined) this.#restore(owner, expirationTime)
  }

  #restore(owner: string, expirationTime?: number | null): void {
    if (typeof owner !== 'string' || owner === '') {
      throw invalid('lock owner', 'a non-empty string', owner)
    }
    this.#owner = owner
    if (typeof expirationTime === 'number') {
      this.#lease = restoredLease(this.#encodedKey, owner, expirationTime)
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
      // Its `this`, by which a wait within the callback finds out that it waits for itself.
      const frame = { runUnder }
      const started = this.#start(options, true)
      const { logger, holdings } = this.#scope
      const running = isSlow(this.#engine) ? holdings.running : undefined
      return frame.runUnder(this, started, callback, logger, running)
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
   * Acquires the lock and resolves to what is held, for `await using`: it is released at the end of the block.
   *
   * @param options - As for `acquire`
   * @throws E_LOCK_NOT_ACQUIRED if chances or time are used up; what `acquire` throws
   */
  async hold(options?: LockAcquireOptions): Promise<HeldLock> {
    const started = this.#start(options, true)
    const lease = started instanceof Promise ? ((await started) as Lease | null) : started
    if (lease === null) throw new E_LOCK_NOT_ACQUIRED([decodeKey(this.#encodedKey)])
    return new HeldLock(this, lease)
  }

  /**
   * Releases the lock.
   *
   * @throws E_LOCK_NOT_OWNED if it isn't held: never acquired, expired, taken over or freed by force
   */
  release(): Promise<void> {
    try {
      return this[RELEASE](this.#lease ?? this.#unconfirmedLease()) ?? DONE
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Frees the key whoever holds it.
   */
  async forceRelease(): Promise<void> {
    await this.#engine.forceRelease(this.#encodedKey)
    this.#lease?.life?.lose('not_owned')
    this.#lease?.release()
    debug(this.#scope, this.#encodedKey, 'Lock released by force')
  }

  /**
   * Makes the lease end the given time from now. An expired lease is not revived.
   *
   * @param ttl - The lock's own TTL unless given
   * @throws E_LOCK_NOT_OWNED if the lock isn't held; InvalidArgumentsException if the lock has no TTL and none is given,
   * or if it can't be used
   */
  async extend(ttl?: Duration): Promise<void> {
    const lease = this.#lease ?? this.#unconfirmedLease()
    await this[EXTEND](lease, ttl)
    this.#lease ??= lease
  }

  /**
   * Extends one acquisition, whatever has been acquired since.
   *
   * @internal
   */
  async [EXTEND](lease: Lease, ttl?: Duration): Promise<void> {
    const millis = ttl === undefined || ttl === null ? this.#ttl : parseDuration(ttl, 'lock TTL')
    if (millis === ENDLESS) throw new InvalidArgumentsException('Cannot extend a lock without TTL')
    await extendLease(this.#engine, this.#scope, lease, millis)
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
    return remainingTime(this.#lease)
  }

  /**
   * Whether that lease is neither released nor lost nor over: by a clock that counts the time in which the machine was
   * suspended, and if it is extended natively, even in the line after the event loop was blocked. `false` from the call of
   * `release` on, whatever becomes of it. That the lock was freed by force shows at the next extension, or at the lease's end.
   */
  isHeld(): boolean {
    return isHeld(this.#lease)
  }

  /**
   * A signal of that lease: aborted with E_LOCK_LOST when it ran out, was taken or freed by force, or could not be extended
   * in time; not by a release. Aborted already where nothing is held.
   */
  get signal(): AbortSignal {
    return signalOf(this.#lease, this.#encodedKey)
  }

  /** The fencing token of the last acquisition, greater than all before it for this key; `null` if it has none. */
  get fencingToken(): bigint | null {
    return tokenOf(this.#lease)
  }

  /** The owner of the last acquisition, or of the first one if there hasn't been any. */
  getOwner(): string {
    if (this.#lease !== null) return this.#engine.nameOf(this.#lease)
    return (this.#owner ??= newOwner())
  }

  /**
   * The lock as plain JSON, for `restoreLock` in this process or another one. Closing the lock manager leaves it alone.
   */
  serialize(): SerializedLock {
    this.#lease?.handOn()
    return {
      key: decodeKey(this.#encodedKey),
      owner: this.getOwner(),
      ttl: this.#ttl === ENDLESS ? null : this.#ttl,
      expirationTime: expirationTimeOf(this.#lease),
    }
  }

  toJSON(): SerializedLock {
    return this.serialize()
  }

  /** @internal */
  [SETTLED](lease: Lease | null, isFirst: boolean, isTainted = false): boolean {
    if (isFirst) this.#isFirstUnderWay = false
    if (isTainted && !this.#isFirstUnderWay) this.#owner = undefined
    if (lease === null) return false
    this.#take(lease, isFirst)
    this.#scope.onLateGrant?.(lease)
    return this.#scope.onLateGrant === undefined
  }

  /**
   * The settings that this lock was made under.
   *
   * @internal
   */
  get [SCOPE](): Scope {
    return this.#scope
  }

  /** Begins to acquire. */
  #start(options: LockAcquireOptions | undefined, wantsLease: boolean): Started {
    if (isAcquireObserved()) return this.#startObserved(options, wantsLease)
    return this.#begin(options, wantsLease)
  }

  /** Apart from `#start`: what a closure refers to is allocated with each call of the function around it. */
  #startObserved(options: LockAcquireOptions | undefined, wantsLease: boolean): Started {
    const { storeName: store } = this.#scope
    const acquisition = { engine: this.#engine, key: this.#encodedKey, ttl: this.#ttl, store }
    const chances = options?.retry?.attempts
    const started = observeAcquire(acquisition, chances, () => this.#begin(options, true))
    if (wantsLease || !(started instanceof Promise)) return started
    return started.then((lease) => lease !== null)
  }

  #begin(options: LockAcquireOptions | undefined, wantsLease: boolean): Started {
    const scope = this.#scope
    const engine = this.#engine
    if (scope.isClosed) throw new E_LOCK_CLOSED()
    const resolved = options === undefined ? undefined : resolveAcquire(options, scope)
    const retry = resolved?.retry ?? scope.retry
    const keep = resolved === undefined ? scope.autoExtend : resolved.keep
    // The owner that was shown or given belongs to one acquisition only: the first.
    const isFirst = this.#lease === null && !this.#isFirstUnderWay
    if (isFirst && engine.namesOwners) this.#owner ??= newOwner()
    const owner = isFirst ? this.#owner : undefined
    let isTried = false
    if (keep === null && engine.tryNow !== undefined) {
      isTried = true
      const mayWait = retry.attempts > 1
      const lease = engine.tryNow(this.#encodedKey, owner, this.#ttl, mayWait, scope.fencing)
      if (lease !== null) this.#take(lease, isFirst)
      if (lease !== null || !mayWait) return lease
    }
    return this.#ask({
      acquirer: this,
      key: this.#encodedKey,
      owner,
      ttl: this.#ttl,
      retry,
      signal: resolved?.signal,
      keep,
      fenced: scope.fencing,
      isFirst,
      isTried,
      wantsLease,
    })
  }

  #ask(request: AcquireRequest): Started {
    const { isFirst } = request
    if (isFirst) this.#isFirstUnderWay = true
    let started: Started = null
    try {
      started = this.#engine.acquire(request)
    } finally {
      // A promise has told, or will tell, by itself.
      if (isFirst && !(started instanceof Promise)) this.#isFirstUnderWay = false
    }
    if (started instanceof Promise) {
      if (request.retry.attempts > 1) lookForSelfDeadlock(this.#scope, this.#engine, request.key)
    } else if (started !== null) this.#take(started, isFirst)
    return started
  }

  #take(lease: Lease, isFirst: boolean): void {
    this.#lease = lease
    this.#scope.holdings.add(lease)
    if (isFirst) {
      // Somebody asked for the owner while the acquire waited.
      if (this.#owner !== undefined) this.#engine.nameOf(lease, this.#owner)
      this.#owner = undefined
    }
    debug(this.#scope, this.#encodedKey, 'Lock acquired')
  }

  /**
   * Releases one acquisition, whatever has been acquired since. Throws or rejects.
   *
   * @internal
   */
  [RELEASE](lease: Lease): void | Promise<void> {
    if (lease.life !== undefined || isReleaseObserved()) {
      return releaseObserved(this.#engine, this.#scope, lease)
    }
    return releaseLease(this.#engine, this.#scope, lease)
  }

  /** The lease that this object would have if its owner holds the key: it was restored, or never acquired. */
  #unconfirmedLease(): Lease {
    return new Lease(this.#encodedKey, this.getOwner(), Number.POSITIVE_INFINITY, BY_NAME)
  }
}

recognizeCopies(Lock, 'Lock')
