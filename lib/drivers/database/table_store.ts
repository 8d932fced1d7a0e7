import { recognizeCopies } from '../../copies.js'
import { setTimeout as pause } from 'node:timers/promises'

import { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR, InvalidArgumentsException } from '../../errors.js'
import type {
  AtomicDatabaseAdapter,
  DatabaseAdapter,
  DatabaseOptions,
  LockStore,
} from '../../types/main.js'
import { parseDuration } from '../../duration.js'
import { assertKey, invalid } from '../../validation.js'
import { ClientCalls } from '../client_calls.js'
import { assertOwner, parseExtension } from '../native_store.js'
import { isCollision, isKeyConflict, isMissingTable } from './driver_errors.js'
import { COMMAND_TIMEOUT, endOfLease, placeOf } from './options.js'
import type { TableSettings } from './options.js'
import { storedText } from './stored_text.js'
import type { TableAdapter } from './table_adapter.js'
import { fencesOf } from './table_client.js'

const DEFAULT_TABLE = 'verrou'

const ATOMIC = [
  'saveLock',
  'releaseLock',
  'renewLock',
  'isLocked',
  'ignoresTrailingBlanks',
] as const

/** How often a statement is tried that others were in the way of. */
const TRIES = 8

/**
 * For how long after the loss of its connection a statement may still be on its way into the server, and be performed;
 * milliseconds.
 */
const STRAY_TIME = 500

/** A row of the table. What drivers return for 64-bit numbers differs. */
interface Row {
  owner: string
  expiration: number | string | bigint | null
}

/**
 * Keeps locks in a database table, through an adapter that speaks to the database: a lock is a row of key, owner and
 * expiration (milliseconds since the Unix epoch, or null), as `@verrou/core` keeps it.
 *
 * The table is created with the first lock if `autoCreateTable` wants it, and again if that fails or the table is gone.
 */
export class DatabaseStore implements LockStore {
  /** Whether locks are fenced unless they say otherwise. */
  readonly fencing: boolean
  readonly #adapter: DatabaseAdapter
  readonly #atomic: AtomicDatabaseAdapter | undefined
  readonly #tableName: string
  readonly #createsTable: boolean
  /** Milliseconds. */
  readonly #commandTimeout: number
  /** The table is there, or is being created. */
  #table: Promise<void> | undefined
  /** The same of the table of the fencing tokens. */
  #fences: Promise<void> | undefined
  readonly #calls = new ClientCalls('the database')

  /**
   * Asks nothing of the database yet.
   *
   * @param options - `commandTimeout` is how long a call may take: milliseconds, 5,000 unless given
   * @throws InvalidArgumentsException if fencing is wanted and the adapter lacks `saveFencedLock`
   */
  constructor(
    adapter: DatabaseAdapter,
    options: DatabaseOptions & { commandTimeout?: number } = {}
  ) {
    this.#adapter = adapter
    this.#atomic = isAtomic(adapter) ? adapter : undefined
    this.#tableName = options.tableName || DEFAULT_TABLE
    this.#createsTable = options.autoCreateTable !== false
    this.#commandTimeout = options.commandTimeout ?? COMMAND_TIMEOUT
    const { fencing = false } = options
    if (typeof fencing !== 'boolean') {
      throw invalid('database store option "fencing"', 'true or false', fencing)
    }
    this.fencing = fencing
    if (typeof adapter.saveFencedLock !== 'function') {
      if (this.fencing) {
        throw new InvalidArgumentsException(
          'Invalid database store option "fencing": the adapter has no method saveFencedLock'
        )
      }
      // A store that can't give tokens has no such method.
      ;(this as LockStore).saveFenced = undefined
    }
    adapter.setTableName(this.#tableName)
  }

  /**
   * Saves the lock unless the key is locked already.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   * @throws E_LOCK_STORAGE_ERROR if the database can't be asked
   */
  async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    return this.#acquire(key, owner, ttl, (row, by, millis) =>
      this.#perform(() =>
        this.#retrying(
          () => this.#atomic?.saveLock(row, by, millis) ?? this.#insert(row, by, millis)
        )
      )
    )
  }

  /**
   * Like `save`, and takes a fencing token in the same transaction: one more than the last one of the key, or the microseconds
   * since the Unix epoch if these are more.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   * @throws E_LOCK_STORAGE_ERROR if the database can't be asked
   */
  async saveFenced(key: string, owner: string, ttl: number | null): Promise<bigint | false> {
    return this.#acquire(key, owner, ttl, (row, by, millis) =>
      this.#perform(
        () => this.#retrying(() => this.#adapter.saveFencedLock!(row, by, millis)),
        true
      )
    )
  }

  async #acquire<T extends boolean | bigint>(
    key: string,
    owner: string,
    ttl: number | null,
    send: (key: string, owner: string, ttl: number | null) => Promise<T>
  ): Promise<T> {
    assertKey(key)
    assertOwner(owner)
    const millis = parseDuration(ttl, 'lock TTL') || null
    const performed = (async () => {
      await this.#calls.untouched(owner)
      const [row, by] = await this.#stored(key, owner)
      return send(row, by, millis)
    })()
    let hangs = true
    const end = () => void (hangs = false)
    performed.then(end, end)
    try {
      return await this.#answer(performed)
    } catch (error) {
      // What hangs may have been done, and its end may never come.
      if (hangs) this.#takeBack(key, owner).catch(() => {})
      this.#calls.undo(owner, performed.then(Boolean), isCertain, async () => {
        await this.#takeBack(key, owner)
        await pause(STRAY_TIME, undefined, { ref: false })
        await this.#takeBack(key, owner)
      })
      throw error
    }
  }

  async #takeBack(key: string, owner: string): Promise<void> {
    const [row, by] = await this.#stored(key, owner)
    await this.#adapter.deleteLock(row, by)
  }

  /**
   * Deletes the lock if `owner` holds it.
   *
   * @throws E_LOCK_NOT_OWNED if `owner` doesn't hold it; E_LOCK_STORAGE_ERROR if the database can't be asked
   */
  async delete(key: string, owner: string): Promise<void> {
    assertKey(key)
    assertOwner(owner)
    const isDone = await this.#ask(key, owner, async (row, by) => {
      if (this.#atomic) return this.#atomic.releaseLock(row, by)
      if (!(await this.#holds(row, by))) return false
      await this.#adapter.deleteLock(row, by)
      return true
    })
    if (!isDone) throw new E_LOCK_NOT_OWNED()
  }

  /**
   * Deletes the lock whoever holds it.
   *
   * @throws E_LOCK_STORAGE_ERROR if the database can't be asked
   */
  async forceDelete(key: string): Promise<void> {
    assertKey(key)
    await this.#ask(key, '', (row) => this.#adapter.deleteLock(row))
  }

  /**
   * Tells whether somebody holds the lock.
   *
   * @throws E_LOCK_STORAGE_ERROR if the database can't be asked
   */
  async exists(key: string): Promise<boolean> {
    assertKey(key)
    return this.#ask(key, '', async (row) => {
      if (this.#atomic) return this.#atomic.isLocked(row)
      const found = await this.#adapter.getLock(row)
      return isFound(found) && isLive(found)
    })
  }

  /**
   * Makes the lease end `duration` milliseconds from now if `owner` holds it. An expired lease is not revived.
   *
   * @throws E_LOCK_NOT_OWNED if `owner` doesn't hold it; E_LOCK_STORAGE_ERROR if the database can't be asked
   */
  async extend(key: string, owner: string, duration: number): Promise<void> {
    assertKey(key)
    assertOwner(owner)
    const millis = parseExtension(duration)
    const isDone = await this.#ask(key, owner, async (row, by) => {
      if (this.#atomic) return this.#atomic.renewLock(row, by, millis)
      if (!(await this.#holds(row, by))) return false
      return Number(await this.#adapter.extendLock(row, by, millis)) > 0
    })
    if (!isDone) throw new E_LOCK_NOT_OWNED()
  }

  /** Inserts a lock or takes over an expired one, with the steps that any adapter has. */
  async #insert(key: string, owner: string, ttl: number | null): Promise<boolean> {
    const adapter = this.#adapter
    const lock = () => ({ key, owner, expiration: ttl === null ? null : endOfLease(ttl) })
    let failure: unknown
    // A second time, since the row that was in the way may have gone before it was looked at.
    for (let round = 0; round < 2; round++) {
      const inserted = lock()
      try {
        await adapter.insertLock(inserted)
        return true
      } catch (error) {
        failure = error
      }
      if (isMissingTable(failure)) throw failure
      const found = await adapter.getLock(key)
      if (isFound(found)) {
        const isOurs = found.owner === owner && sameMoment(found.expiration, inserted.expiration)
        if (isOurs && !isKeyConflict(failure)) return true
        return !isLive(found) && Number(await adapter.acquireLock(lock())) > 0
      }
    }
    if (isKeyConflict(failure)) return false
    throw failure
  }

  async #holds(key: string, owner: string): Promise<boolean> {
    const found = await this.#adapter.getLock(key)
    return isFound(found) && found.owner === owner && isLive(found)
  }

  async #stored(key: string, owner: string): Promise<[key: string, owner: string]> {
    const ignoresBlanks = (await this.#atomic?.ignoresTrailingBlanks()) ?? false
    return [storedText(key, ignoresBlanks), storedText(owner, ignoresBlanks)]
  }

  #ask<T>(
    key: string,
    owner: string,
    send: (key: string, owner: string) => Promise<T>
  ): Promise<T> {
    return this.#answer(
      this.#perform(async () => {
        const texts = await this.#stored(key, owner)
        return this.#retrying(() => send(...texts))
      })
    )
  }

  /** Performs statements on the table, and on that of the tokens if they are `fenced`; makes both first if it may. */
  async #perform<T>(send: () => Promise<T>, fenced = false): Promise<T> {
    if (this.#createsTable) await this.#tablesToUse(fenced)
    try {
      return await send()
    } catch (error) {
      if (!isMissingTable(error)) throw error
      if (!this.#createsTable) {
        throw new E_LOCK_STORAGE_ERROR([this.#missingTable(error)], { cause: error })
      }
      // Somebody has dropped it.
      this.#table = this.#fences = undefined
      await this.#tablesToUse(fenced)
      return send()
    }
  }

  #missingTable(error: unknown): string {
    const fences = fencesOf(placeOf({ tableName: this.#tableName }))
    const isFences = error instanceof Error && error.message.includes(fences.at(-1)!)
    return (
      `the table "${isFences ? fences.join('.') : this.#tableName}" doesn't exist. Run the migration that creates it ` +
      '("node ace migration:run" in an AdonisJS app), or set "autoCreateTable" to true'
    )
  }

  async #tablesToUse(fenced: boolean): Promise<void> {
    const adapter = this.#adapter
    if (this.#table === undefined) {
      const table = this.#retrying(() => adapter.createTableIfNotExists())
      this.#table = table
      table.catch(() => {
        // Tried again with the next lock.
        if (this.#table === table) this.#table = undefined
      })
    }
    await this.#table
    if (!fenced) return
    if (this.#fences === undefined) {
      const fences = this.#retrying(async () => adapter.createFencingTableIfNotExists?.())
      this.#fences = fences
      fences.catch(() => {
        if (this.#fences === fences) this.#fences = undefined
      })
    }
    await this.#fences
  }

  async #retrying<T>(send: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await send()
      } catch (error) {
        if (tries === TRIES || !isCollision(error)) throw error
        await pause(Math.random() * 2 ** tries)
      }
    }
  }

  #answer<T>(performed: Promise<T>): Promise<T> {
    return this.#calls.answer(this.#commandTimeout, performed)
  }
}

recognizeCopies(DatabaseStore, 'DatabaseStore')

/** A store over an adapter of ours, in a table whose name may contain dots. */
export function storeAt(
  adapter: TableAdapter,
  { place, autoCreateTable, fencing, commandTimeout }: TableSettings
): DatabaseStore {
  const tableName = place.join('.')
  const store = new DatabaseStore(adapter, { tableName, autoCreateTable, fencing, commandTimeout })
  adapter.setPlace(place)
  return store
}

/** Whether a statement that failed has certainly done nothing. */
function isCertain(error: unknown): boolean {
  const cause = error instanceof E_LOCK_STORAGE_ERROR ? error.cause : error
  return isMissingTable(cause) || isCollision(cause)
}

function isAtomic(adapter: DatabaseAdapter): adapter is AtomicDatabaseAdapter {
  return ATOMIC.every(
    (method) => typeof (adapter as Partial<AtomicDatabaseAdapter>)[method] === 'function'
  )
}

function isFound(row: Row | null | undefined): row is Row {
  return row !== undefined && row !== null
}

function isLive({ expiration }: Row): boolean {
  return expiration === null || Number(expiration) > Date.now()
}

function sameMoment(one: Row['expiration'], other: number | null): boolean {
  return one === null || other === null ? one === other : Number(one) === other
}
