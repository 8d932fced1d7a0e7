import type { ResolvedAutoExtend, ResolvedLockConfig, StoreStats } from '../types/main.js'
import type { LeaseLife } from './lease_life.js'

/** The slot of a lease that is known by its owner's name only. */
export const BY_NAME = -1

/** What is known of a lease besides, a bit each. */
const LET_GO = 1
const RELEASED = 2
const FENCED = 4
const IN_TABLE = 8
const HANDED_ON = 16

/** Where leases are that are held for long, see `Holdings`. */
export interface Table {
  drop(lease: Lease): void
}

/**
 * A lease as this process knows it.
 *
 * One is made for each acquisition, and to allocate it is no small part of what a lock in memory costs. So it is kept small:
 * what few leases have is in their `LeaseLife`.
 */
export class Lease {
  private flags = 0
  /** What somebody wants to hear of it, or who extends it. Most leases have none. */
  life: LeaseLife | undefined = undefined
  /** What `this` is in the `run` that acquired it. */
  frame: object | undefined = undefined
  /** The one that was granted before it, or the table that it is in; both belong to `Holdings`. */
  private place: Lease | Table | undefined = undefined

  /**
   * @param key - What is locked, encoded
   * @param owner - The identity of the acquisition; a lock in memory gets one only when somebody asks
   * @param endsAt - When it ends, in milliseconds of the addon's monotonic clock; `Infinity` for never
   * @param slot - The lease's place in a native store, or {@link BY_NAME}
   * @param serial - The number of the acquisition in a native store; of a fenced one, its token
   */
  constructor(
    readonly key: string,
    public owner: string | undefined,
    public endsAt: number,
    readonly slot: number = BY_NAME,
    public serial: number = 0
  ) {}

  /** Whether it was released through the object that holds it. */
  get released(): boolean {
    return (this.flags & RELEASED) !== 0
  }

  /** Whether a release has been asked for; it stays so if that fails, since nobody knows what has become of the lease. */
  get isLetGo(): boolean {
    return (this.flags & LET_GO) !== 0
  }

  /** A release is being asked for. */
  letGo(): void {
    this.flags |= LET_GO
  }

  /** Whether somebody else may release it: then nobody but whoever that is knows when it is needed no longer. */
  get isHandedOn(): boolean {
    return (this.flags & HANDED_ON) !== 0
  }

  /** The lock has been serialized. */
  handOn(): void {
    this.flags |= HANDED_ON
  }

  /** The fencing token, if the acquisition has asked for one. */
  get token(): number | undefined {
    return (this.flags & FENCED) === 0 ? undefined : this.serial
  }

  /** The acquisition has asked for a fencing token and has got this one. */
  fence(token: number): void {
    this.serial = token
    this.flags |= FENCED
  }

  /** The lease that was granted before it, while it is in a chain. */
  get older(): Lease | undefined {
    return (this.flags & IN_TABLE) === 0 ? (this.place as Lease | undefined) : undefined
  }

  set older(lease: Lease | undefined) {
    this.place = lease
  }

  /** It has been moved from the chain to a table. */
  enter(table: Table): void {
    this.place = table
    this.flags |= IN_TABLE
  }

  /** It has been extended. */
  extendTo(endsAt: number): void {
    this.endsAt = endsAt
    this.life?.extended()
  }

  /** It may have been made to end then, or will be, whether anybody hears of that or not. */
  shortenTo(endsAt: number): void {
    if (endsAt >= this.endsAt) return
    this.extendTo(endsAt)
    this.life?.keeper?.shortened?.()
  }

  /** When it ends, as far as is known by now: another thread may have extended it, or lost it. */
  get currentEnd(): number {
    return this.life?.keeper?.endsAt() ?? this.endsAt
  }

  /** It was released through the object that holds it. */
  release(): void {
    this.flags |= RELEASED | LET_GO
    this.leave()
    this.life?.end()
  }

  /** It is held no longer, or not by this process. */
  leave(): void {
    if ((this.flags & IN_TABLE) === 0) return
    const table = this.place as Table
    this.flags &= ~IN_TABLE
    this.place = undefined
    table.drop(this)
  }
}

/**
 * A lease of a store that takes its time: there, a list that it can leave at once costs less than that leases live a little longer
 * than they are held.
 */
export class ListedLease extends Lease {
  /** Its neighbours in the list, which belong to `HeldList`. */
  previous: ListedLease | undefined = undefined
  next: ListedLease | undefined = undefined
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
   * An acquire that had to wait has ended.
   *
   * @param lease - The lease, or `null` if there is none
   * @param isFirst - As in the request
   * @param isTainted - The owner must not be used again: what was asked for it may still be cleaned up
   * @returns Whether the lease was taken; it may be released again at once
   */
  [SETTLED](lease: Lease | null, isFirst: boolean, isTainted?: boolean): boolean
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
  /**
   * Frees a lease. Throws or rejects with E_LOCK_NOT_OWNED if it isn't held any longer. What has become of it the lease
   * hears from the caller, unless {@link tellsReleased} says that the engine has told it before the promise settles.
   */
  release(lease: Lease): void | Promise<void>
  readonly tellsReleased?: boolean
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
  /**
   * Resolves when what is being given back now, or was asked for by somebody who has left, is settled at the store. What
   * couldn't be freed at the first try isn't waited for. Never rejects. For `loosen` it is the engine that is given back.
   */
  cleanUp?(): Promise<void>
  /** What has been counted so far. */
  stats(): StoreStats
  /**
   * Closes the connection of the store, if it has one; what is asked for later connects again. For `loosen` as in `cleanUp`.
   */
  disconnect?(): Promise<void>
}

/** Whether every answer of the store takes a while. */
export function isSlow(engine: LockEngine): boolean {
  return engine.tryNow === undefined
}
