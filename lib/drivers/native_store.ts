import { ENDLESS, parseDuration } from '../duration.js'
import { BY_NAME, Lease } from '../engine/lease.js'
import type { LockEngine } from '../engine/lease.js'
import { nativeStores } from '../engine/native_stores.js'
import { encodeKey } from '../key.js'
import { noopLogger } from '../logger.js'
import { assertKey, invalid } from '../validation.js'
import type { Logger, LockStore } from '../types/main.js'

const METHODS = ['save', 'saveFenced', 'delete', 'forceDelete', 'exists', 'extend'] as const

/** The engine of a store on a server: what it is asked for besides the locks themselves. */
export interface StoreEngineOnServer extends LockEngine {
  /** One try, without waiting. `ttl` is in milliseconds, 0 for no expiry. */
  attempt(key: string, owner: string, ttl: number, fenced?: boolean): Promise<Lease | null>
  /** Sets who hears what a person should know of the connection. */
  onNotice(listener: (text: string) => void): void
}

/** What a store is made of. Either `engine` or `connection` is there. */
export interface NativeStoreParts {
  engine?: StoreEngineOnServer
  /** The same locks over a connection of the app. */
  connection?: LockStore
  /** Whether locks are fenced unless they say otherwise. */
  fencing: boolean
  /** What the user should know, each a sentence without a full stop. */
  remarks: string[]
  /** The kind of the store in the log. */
  name: string
  /** The code of the process warning that takes the place of a line in the log. */
  warning: string
}

/** What has been said without a logger; once in a process is enough. */
const warned = new Set<string>()

/**
 * A store on a server: over a native connection of its own, or over a connection of the app where the settings can't be
 * carried over.
 */
export abstract class NativeStore implements LockStore {
  /** Whether locks are fenced unless they say otherwise. */
  readonly fencing: boolean
  readonly #engine: StoreEngineOnServer | undefined
  readonly #connection: LockStore | undefined
  readonly #name: string
  readonly #warning: string
  /** What the user should know, until it has been told. */
  readonly #remarks: string[] = []
  /** Where it is told; nowhere yet, as long as nobody uses the store. */
  #logger: Logger | undefined

  protected constructor(parts: NativeStoreParts) {
    const { engine, connection, fencing, remarks, name, warning } = parts
    this.fencing = fencing
    this.#engine = engine
    this.#connection = connection
    this.#name = name
    this.#warning = warning
    engine?.onNotice((text) => this.#remark(text))
    for (const remark of remarks) this.#remark(remark)
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
   * Like `save`, and takes a fencing token in the same step: one more than the last one of the key, or the microseconds since
   * the Unix epoch by the server's clock if these are more.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   * @throws E_LOCK_STORAGE_ERROR if the server can't be asked
   */
  async saveFenced(key: string, owner: string, ttl: number | null): Promise<bigint | false> {
    assertKey(key)
    assertOwner(owner)
    const millis = parseDuration(ttl, 'lock TTL')
    this.#announce(noopLogger)
    if (this.#connection) {
      return this.#connection.saveFenced!(key, owner, millis === ENDLESS ? null : millis)
    }
    const lease = await this.#engine!.attempt(encodeKey(key), owner, millis, true)
    return lease === null ? false : BigInt(lease.token!)
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
    const millis = parseExtension(duration)
    this.#announce(noopLogger)
    await (this.#connection?.extend(key, owner, millis) ??
      this.#engine!.extend(leaseOf(key, owner), millis))
  }

  #engineToUse(): LockEngine | undefined {
    // Somebody who overrides a method wants it to be called.
    const isPlain = METHODS.every((method) => this[method] === NativeStore.prototype[method])
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
    else if (logger === noopLogger) warn(text, this.#warning)
    else {
      try {
        logger.warn({ store: this.#name }, text)
      } catch {
        // A logger that fails must cost nobody a lock.
      }
    }
  }
}

/** Says something where there is no logger. */
function warn(text: string, code: string): void {
  if (warned.has(text)) return
  warned.add(text)
  process.emitWarning(text, { code })
}

function leaseOf(key: string, owner: string): Lease {
  return new Lease(encodeKey(key), owner, Number.POSITIVE_INFINITY, BY_NAME)
}

/**
 * @throws InvalidArgumentsException if it is no text
 */
export function assertOwner(owner: string): void {
  if (typeof owner !== 'string' || owner === '') {
    throw invalid('lock owner', 'a non-empty string', owner)
  }
}

/**
 * Whole milliseconds.
 *
 * @throws InvalidArgumentsException if a lease can't be extended by that
 */
export function parseExtension(duration: number): number {
  const millis = parseDuration(duration, 'lock duration')
  if (millis === ENDLESS) {
    throw invalid('lock duration', 'a positive number of milliseconds', duration)
  }
  return millis
}
