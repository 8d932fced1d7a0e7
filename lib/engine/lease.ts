import type { ResolvedLockConfig } from '../types/main.js'

/** The slot of a lease that is known by its owner's name only. */
export const BY_NAME = -1

/**
 * A lease as this process knows it.
 */
export class Lease {
  /** Whether it was released through the object that holds it. */
  released = false
  /** When it ends by the wall clock, once somebody has asked; kept, so that the answer is always the same. */
  expirationTime: number | undefined = undefined

  /**
   * @param key - What is locked, encoded
   * @param owner - The identity of the acquisition; a lock in memory gets one only when somebody asks
   * @param endsAt - When it ends, in milliseconds of the addon's monotonic clock; `Infinity` for never
   * @param slot - The lease's place in a native store, or {@link BY_NAME}
   * @param serial - The number of the acquisition in a native store
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
  }
}

/** How an engine tells a lock that an acquire of it has ended. */
export const SETTLED: unique symbol = Symbol.for('loquet.settled')

/** Under which settings a lock was made; all locks of one factory have the same. */
export const SCOPE: unique symbol = Symbol.for('loquet.scope')

/**
 * Whoever acquires: told synchronously, so that what the lock says about itself is true before any promise callback.
 */
export interface Acquirer {
  readonly [SCOPE]: object

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
  /** Whether the lease would be the one that bears the owner that the lock has shown. */
  isFirst: boolean
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
  /** Closes the connection of the store, if it has one; what is asked for later connects again. */
  disconnect?(): Promise<void>
}
