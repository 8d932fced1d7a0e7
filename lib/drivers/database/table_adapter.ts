import type { AtomicDatabaseAdapter } from '../../types/main.js'
import { isKeyConflict, isMissingTable } from './driver_errors.js'
import { saveFenced } from './fencing.js'
import { placeOf } from './options.js'
import { sql } from './sql.js'
import type { Name } from './sql.js'
import { endOf, expired, live, row, rowOf, upsert } from './statements.js'
import type { TableClient } from './table_client.js'

type Lock = { key: string; owner: string; expiration: number | null }

/**
 * What adapters of clients that speak SQL have in common: the statements, and what their results mean.
 */
export abstract class TableAdapter implements AtomicDatabaseAdapter {
  /** The table, behind whatever it is in. */
  #place: string[] = ['verrou']

  /** The client, with the table in a place: outermost first. */
  protected abstract open(place: readonly string[]): TableClient | Promise<TableClient>

  /**
   * Sets the table that holds the locks. A dot separates it from the schema that it is in.
   */
  setTableName(tableName: string): void {
    this.#place = placeOf({ tableName })
  }

  /** Sets the table and what it is in, outermost first. */
  setPlace(place: string[]): void {
    this.#place = place
  }

  /**
   * Creates the table unless it exists; several processes may do so at once.
   */
  async createTableIfNotExists(): Promise<void> {
    const client = await this.#open()
    await make(client, client.table, () => client.createTable())
  }

  /**
   * Creates the table of the fencing tokens unless it exists; several processes may do so at once.
   */
  async createFencingTableIfNotExists(): Promise<void> {
    const client = await this.#open()
    await make(client, client.fences.table, () => client.createFences())
  }

  /** Inserts a lock; rejects with the driver's error if the key exists. */
  async insertLock(lock: Lock): Promise<void> {
    const client = await this.#open()
    await client.insert(lock)
  }

  /** Takes over an expired lock; resolves to the number of changed rows. */
  async acquireLock({ key, owner, expiration }: Lock): Promise<number> {
    const client = await this.#open()
    return client.update({ owner, expiration }, sql`${row(client, key)} and ${expired(client)}`)
  }

  /** Deletes a lock, with `owner` only if it is the owner's. */
  async deleteLock(key: string, owner?: string): Promise<void> {
    const client = await this.#open()
    await client.remove(owner === undefined ? row(client, key) : rowOf(client, key, owner))
  }

  /** Like `renewLock`, as a number of rows. */
  async extendLock(key: string, owner: string, duration: number): Promise<number> {
    const isDone = await this.renewLock(key, owner, duration)
    return Number(isDone)
  }

  /** Reads a lock. */
  async getLock(key: string): Promise<{ owner: string; expiration: number | null } | undefined> {
    const client = await this.#open()
    const [found] = (await client.select(row(client, key))) as Record<string, unknown>[]
    if (found === undefined) return undefined
    // Oracle's names, and those that the app has made of them, may be written otherwise.
    const values = Object.fromEntries(
      Object.entries(found).map(([name, value]) => [name.toLowerCase(), value])
    )
    const { owner, expiration } = values
    return { owner: String(owner), expiration: expiration === null ? null : Number(expiration) }
  }

  /** Whether texts that differ only in blanks at their end are the same key for the database. */
  async ignoresTrailingBlanks(): Promise<boolean> {
    const { dialect } = await this.#open()
    return dialect.ignoresTrailingBlanks
  }

  /** Inserts a lock or takes over an expired one; tells whether it did. */
  async saveLock(key: string, owner: string, ttl: number | null): Promise<boolean> {
    const client = await this.#open()
    if (client.dialect.hasUpsert) {
      const saved = await client.query(upsert(client, key, owner, ttl))
      return saved.length > 0
    }
    try {
      await client.insert({ key, owner, expiration: endOf(client, ttl) })
      return true
    } catch (error) {
      if (isMissingTable(error)) throw error
      // An error that isn't known may be one of the key: then there is a row.
      if (!isKeyConflict(error) && (await this.getLock(key)) === undefined) throw error
    }
    const values = { owner, expiration: endOf(client, ttl) }
    return (await client.update(values, sql`${row(client, key)} and ${expired(client)}`)) > 0
  }

  /** Like `saveLock`, and gives the lock a fencing token in the same transaction; `false` if it isn't saved. */
  async saveFencedLock(key: string, owner: string, ttl: number | null): Promise<bigint | false> {
    return saveFenced(await this.#open(), key, owner, ttl)
  }

  /** Deletes the owner's lock unless it has expired; tells whether it did. */
  async releaseLock(key: string, owner: string): Promise<boolean> {
    const client = await this.#open()
    return (await client.remove(sql`${rowOf(client, key, owner)} and ${live(client)}`)) > 0
  }

  /** Makes the owner's lock end `duration` ms from now unless it has expired; tells whether it did. */
  async renewLock(key: string, owner: string, duration: number): Promise<boolean> {
    const client = await this.#open()
    const held = () => sql`${rowOf(client, key, owner)} and ${live(client)}`
    const count = await client.update({ expiration: endOf(client, duration) }, held())
    if (count > 0) return true
    // MySQL may count rows only whose values have changed.
    const found = await client.select(held())
    return found.length > 0
  }

  /** Whether there is a lock that hasn't expired. */
  async isLocked(key: string): Promise<boolean> {
    const client = await this.#open()
    const found = await client.select(sql`${row(client, key)} and ${live(client)}`)
    return found.length > 0
  }

  async #open(): Promise<TableClient> {
    return this.open(this.#place)
  }
}

async function make(
  client: TableClient,
  table: Name,
  create: () => Promise<unknown>
): Promise<void> {
  if (await client.hasTable(table)) return
  try {
    await create()
  } catch (error) {
    // Another process was faster.
    const isThere = await client.hasTable(table).catch(() => false)
    if (!isThere) throw error
  }
}
