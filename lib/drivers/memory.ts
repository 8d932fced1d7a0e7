import { recognizeCopies } from '../copies.js'
import { ENDLESS, parseDuration } from '../duration.js'
import { BY_NAME, Lease } from '../engine/lease.js'
import { nativeStores } from '../engine/native_stores.js'
import { SpaceEngine } from '../engine/space_engine.js'
import { encodeKey } from '../key.js'
import { assertKey, invalid } from '../validation.js'
import type { LockStore } from '../types/main.js'

/**
 * Options of the memory store.
 */
export interface MemoryStoreOptions {
  /**
   * The name of a lock space that all threads of the process share: worker threads that use the same name exclude each
   * other. Without it the locks are private to the store's instance.
   *
   * A lock without TTL is freed when the thread that acquired it ends.
   */
  shared?: string

  /**
   * Whether locks bear fencing tokens unless they say otherwise. There is one counter of tokens for all keys of a lock space.
   *
   * @default false
   */
  fencing?: boolean
}

const METHODS = ['save', 'saveFenced', 'delete', 'forceDelete', 'exists', 'extend'] as const

/**
 * Keeps locks in the memory of this process. Nothing leaves it and nothing outlives it.
 */
export class MemoryStore implements LockStore {
  /** Whether locks are fenced unless they say otherwise. */
  readonly fencing: boolean
  readonly #engine: SpaceEngine

  constructor(options: MemoryStoreOptions = {}) {
    const { shared, fencing = false } = options
    if (shared !== undefined && (typeof shared !== 'string' || shared === '')) {
      throw invalid('memory store option "shared"', 'a non-empty string', shared)
    }
    if (typeof fencing !== 'boolean') {
      throw invalid('memory store option "fencing"', 'true or false', fencing)
    }
    this.fencing = fencing
    this.#engine = shared === undefined ? new SpaceEngine() : SpaceEngine.shared(shared)
    nativeStores.set(this, { engine: () => this.#engineToUse(), announce() {} })
  }

  /**
   * Saves the lock unless the key is locked already.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   */
  async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    return this.#tryNow(key, owner, ttl, false) !== null
  }

  /**
   * Like `save`, and takes a fencing token: greater than every one before in this lock space, and at least the microseconds
   * since the Unix epoch.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   */
  async saveFenced(key: string, owner: string, ttl: number | null): Promise<bigint | false> {
    const lease = this.#tryNow(key, owner, ttl, true)
    return lease === null ? false : BigInt(lease.token!)
  }

  /**
   * Deletes the lock if `owner` holds it, otherwise rejects with `E_LOCK_NOT_OWNED`.
   */
  async delete(key: string, owner: string): Promise<void> {
    assertKey(key)
    this.#engine.release(leaseOf(key, owner))
  }

  /**
   * Deletes the lock whoever holds it.
   */
  async forceDelete(key: string): Promise<void> {
    assertKey(key)
    this.#engine.forceRelease(encodeKey(key))
  }

  /**
   * Tells whether somebody holds the lock.
   */
  async exists(key: string): Promise<boolean> {
    assertKey(key)
    return this.#engine.exists(encodeKey(key))
  }

  /**
   * Makes the lease end `duration` milliseconds from now if `owner` holds it, otherwise rejects with
   * `E_LOCK_NOT_OWNED`. An expired lease is not revived.
   */
  async extend(key: string, owner: string, duration: number): Promise<void> {
    assertKey(key)
    this.#engine.extend(leaseOf(key, owner), parseDuration(duration, 'lock duration'))
  }

  /**
   * How many leases are stored (expired ones included until they are swept) and how many acquires wait.
   */
  census(): { leases: number; waiters: number } {
    return this.#engine.census()
  }

  #tryNow(key: string, owner: string, ttl: number | null, fenced: boolean): Lease | null {
    assertKey(key)
    const millis = parseDuration(ttl, 'lock TTL')
    return this.#engine.tryNow(encodeKey(key), assertOwner(owner), millis, false, fenced)
  }

  #engineToUse(): SpaceEngine | undefined {
    // Somebody who overrides a method wants it to be called.
    const isPlain = METHODS.every((method) => this[method] === MemoryStore.prototype[method])
    return isPlain ? this.#engine : undefined
  }
}

recognizeCopies(MemoryStore, 'MemoryStore')

/**
 * A factory of memory stores. Each call of `factory` makes a lock space of its own, unless it is `shared`.
 */
export function memoryStore(options?: MemoryStoreOptions): { factory: () => MemoryStore } {
  return { factory: () => new MemoryStore(options) }
}

function leaseOf(key: string, owner: string): Lease {
  return new Lease(encodeKey(key), assertOwner(owner), ENDLESS, BY_NAME)
}

function assertOwner(owner: string): string {
  if (typeof owner !== 'string' || owner === '') {
    throw invalid('lock owner', 'a non-empty string', owner)
  }
  return owner
}
