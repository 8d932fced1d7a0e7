import type { ResolvedAutoExtend, ResolvedLockConfig, StoreStats } from '../types/main.js'
import type { Holdings } from './holdings.js'
import type { LeaseLife } from './lease_life.js'

/** The slot of a lease that is known by its owner's name only. */
export const BY_NAME = -1

/**
 * A lease as this process knows it.
 */
export class Lease {
  /** Whether it was released through the object that holds it. */
  released = false
  /** Whether a release has been asked for; it stays so if that fails, since nobody knows what has become of the lease. */
  isLetGo = false
  /** When it ends by the wall clock, once somebody has asked; kept, so that the answer is always the same. */
  expirationTime: number | undefined = undefined
  /** The fencing token, if the acquisition has asked for one. */
  token: number | undefined = undefined
  /** What somebody wants to hear of it, or who extends it. Most leases have none. */
  life: LeaseLife | undefined = undefined
  /** What `this` is in the `run` that acquired it. */
  frame: object | undefined = undefined
  /** The one that was granted before it, and whether it has a place in the table; both belong to `Holdings`. */
  older: Lease | undefined = undefined
  holdings: Holdings | undefined = undefined

  /**
   * @param key - What is locked, encoded
   * @param owner - The identity of the acquisition; a lock in memory gets one only when somebody asks
   * @param endsAt - When it ends, in milliseconds of the addon's monotonic clock; `Infinity` for never
   * @param slot - The lease's place in a native store, or {@link BY_NAME}
   * @param serial - The number of the acquisition in a native store: its fencing token, if one was asked for
   */
  constructor(
    readonly key: string,
    public owner: string | undefined,
    public endsAt: number,
    readonly slot: number = BY_NAME,
    readonly serial: number = 0
  ) {}

  /** It has been extended. */
  extendTo(endsAt: number): void {
    this.endsAt = endsAt
    this.expirationTime = undefined
    this.life?.extended()
  }

  /** It may have been made to end then, or will be, whether anybody hears of that or not. */
  shortenTo(endsAt: number): void {
    if (endsAt < this.endsAt) this.extendTo(endsAt)
  }

  /** When it ends, as far as is known by now: another thread may have extended it, or lost it. */
  get currentEnd(): number {
    return this.life?.keeper?.endsAt() ?? this.endsAt
  }

  /** It was released through the object that holds it. */
  release(): void {
    this.released = true
    this.isLetGo = true
    this.leave()
    this.life?.end()
  }

  /** It is held no longer, or not by this process. */
  leave(): void {
    this.holdings?.drop(this)
    this.holdings = undefined
  }
}

/** How an engine tells a lock that an acquire of it has ended. */
export const SETTLED: unique symbol = Symbol.for('loquet.settled')

/** Under which settings a lock was made; all locks of one factory have the same. */
export const SCOPE: unique symbol = Symbol.for('loquet.scope')

/** What engines ask of a scope. */
export interface ScopeOfLocks {
  /** What the store is called. */
  readonly storeName?: string | undefined
}

/** One acquisition of a lock, for those who have the lease: see `HeldLock`. */
export const RELEASE: unique symbol = Symbol.for('loquet.release')
export const EXTEND: unique symbol = Symbol.for('loquet.extend')

/** The fencing token, as users see it. */
export function tokenOf(lease: Lease | null): bigint | null {
  return lease?.token === undefined ? null : BigInt(lease.token)
}

/**
 * Whoever acquires: told synchronously, so that what the lock says about itself is true before any promise callback.
 */
export interface Acquirer {
  readonly [SCOPE]: ScopeOfLocks

  /**
   * @param lease - The lease, or `null` if there is none
   * @param isFirst - As in the request
   * @param isTainted - The owner must not be used again: what was asked for it may still be cleaned up
   */
  [SETTLED](lease: Lease | null, isFirst: boolean, isTainted?: boolean): void
}

/** What one acquire wants. */
export interface AcquireRequest {
  acquirer: Acquirer
  /** Encoded, see `encodeKey`. */
  key: string
  /** The owner to acquire for; the engine makes one if there is none. */
  owner: string | undefined
  /** Milliseconds; 0 for no expiry. */
  ttl: number
  retry: ResolvedLockConfig['retry']
  signal: AbortSignal | undefined
  /** How long the lease is extended by itself; `null` if it isn't. */
  keep: ResolvedAutoExtend | null
  /** Whether the lease gets a fencing token. */
  fenced: boolean
  /** Whether the lease would be the one that bears the owner that the lock has shown. */
  isFirst: boolean
  /** Whether {@link LockEngine.tryNow} has been refused just now. */
  isTried: boolean
  /** Whether the promise resolves to the lease (or `null`) instead of a boolean. */
  wantsLease: boolean
}

/** What an acquire resolves to that has to wait: whether it got the lock, or the lease. */
export type Waited = boolean | Lease | null

/**
 * The engine of one store: it acquires, queues and releases. An engine that knows an answer at once returns it as it is,
 * without a promise.
 */
export interface LockEngine {
  /**
   * One try that is answered at once, where the store can do that; in turn if the caller would wait. What isn't got is asked for
   * again by {@link acquire}.
   */
  tryNow?(
    key: string,
    owner: string | undefined,
    ttl: number,
    inTurn: boolean,
    fenced: boolean
  ): Lease | null
  /**
   * Acquires, waiting in line unless `retry.attempts` is 1. What can be answered at once is returned; a promise tells
   * `acquirer` before it settles.
   */
  acquire(request: AcquireRequest): Lease | null | Promise<Waited>
  /** Frees a lease. Throws or rejects with E_LOCK_NOT_OWNED if it isn't held any longer. */
  release(lease: Lease): void | Promise<void>
  /** Makes a lease end `ttl` milliseconds from now and updates `lease.endsAt`. Throws or rejects like `release`. */
  extend(lease: Lease, ttl: number): void | Promise<void>
  /** Frees the key whoever holds it. */
  forceRelease(key: string): void | Promise<void>
  /** Whether anybody holds the key. */
  exists(key: string): boolean | Promise<boolean>
  /** Whether every acquisition has a name from the start, because the store wants one. */
  readonly namesOwners: boolean
  /** The owner's name of a lease; if it has none yet, it gets `name`, or a new one. */
  nameOf(lease: Lease, name?: string): string
  /** Ends the waits of the locks that were made under these settings, with E_LOCK_CLOSED. */
  close(scope: object): void
  /** What has been counted so far. */
  stats(): StoreStats
  /** Closes the connection of the store, if it has one; what is asked for later connects again. */
  disconnect?(): Promise<void>
}
