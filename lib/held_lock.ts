import { recognizeCopies } from './copies.js'
import { EXTEND, RELEASE, tokenOf } from './engine/lease.js'
import type { Lease } from './engine/lease.js'
import { LeaseLife, isHeld } from './engine/lease_life.js'
import type { Duration } from './types/main.js'

/** What a held lock needs of its lock. */
interface Holding {
  [RELEASE](lease: Lease): void | Promise<void>
  [EXTEND](lease: Lease, ttl?: Duration): Promise<void>
}

/**
 * One acquisition of a lock, made by `Lock.hold`. With `await using` it is released at the end of the block.
 */
export class HeldLock {
  readonly #lock: Holding
  readonly #lease: Lease

  /** @internal */
  constructor(lock: Holding, lease: Lease) {
    this.#lock = lock
    this.#lease = lease
  }

  /** Aborted with E_LOCK_LOST when the lease is lost; see `Lock.signal`. */
  get signal(): AbortSignal {
    return LeaseLife.of(this.#lease).signal
  }

  /** See `Lock.fencingToken`. */
  get fencingToken(): bigint | null {
    return tokenOf(this.#lease)
  }

  /** See `Lock.isHeld`. */
  isHeld(): boolean {
    return isHeld(this.#lease)
  }

  /**
   * Makes the lease end the given time from now; see `Lock.extend`.
   *
   * @param ttl - The lock's own TTL unless given
   * @throws E_LOCK_NOT_OWNED if it isn't held any longer
   */
  extend(ttl?: Duration): Promise<void> {
    return this.#lock[EXTEND](this.#lease, ttl)
  }

  /**
   * Releases what was acquired.
   *
   * @throws E_LOCK_NOT_OWNED if it isn't held any longer
   */
  async release(): Promise<void> {
    await this.#lock[RELEASE](this.#lease)
  }

  /**
   * Releases what was acquired, unless that has been done.
   *
   * @throws E_LOCK_NOT_OWNED if it was lost meanwhile: what the block did may have happened without the lock
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#lease.released) await this.release()
  }
}

recognizeCopies(HeldLock, 'HeldLock')
