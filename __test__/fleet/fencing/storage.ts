/**
 * Storages that compare: they refuse a token that is lower than the greatest they have seen of a key.
 */
import type { KnexConfig } from '../../database/topologies.js'

/** What the members of a fleet share if they have no database: whoever comes, comes at one place, one after another. */
export class Storage {
  readonly #greatest = new Map<string, bigint>()

  /** Whether it is accepted. */
  write(key: string, token: string): boolean {
    const [offered, greatest] = [BigInt(token), this.#greatest.get(key) ?? 0n]
    if (offered < greatest) return false
    this.#greatest.set(key, offered)
    return true
  }
}

/** A storage, as a member sees it. */
export interface OpenStorage {
  write(key: string, token: string): boolean | Promise<boolean>
  close(): void | Promise<void>
}

const TABLE = 'reports'

/** The write of the page on fencing, whose table has a row for each report. */
const WRITE = `UPDATE ${TABLE} SET body = ?, token = ? WHERE name = ? AND token <= ?`

async function connect({ client, connection }: KnexConfig, max: number) {
  const { default: knexModule } = await import('knex')
  const isFile = client === 'better-sqlite3'
  // A file of its own, so that reports don't wait for locks.
  const place = isFile ? { filename: `${connection.filename}-reports` } : connection
  return knexModule.knex({
    client,
    connection: place,
    useNullAsDefault: true,
    pool: { min: 0, max: isFile ? 1 : max },
    log: { warn() {} },
  })
}

/** Makes the table, with a row for each key. */
export async function makeTable(config: KnexConfig, keys: readonly string[]): Promise<void> {
  const knex = await connect(config, 1)
  // What is refused and what is not is a matter of the order, not of the disk.
  if (config.client === 'better-sqlite3') await knex.raw('PRAGMA journal_mode = WAL')
  await knex.schema.createTable(TABLE, (table) => {
    table.string('name', 100).primary()
    table.text('body').notNullable()
    table.bigint('token').notNullable().defaultTo(0)
  })
  await knex(TABLE).insert(keys.map((name) => ({ name, body: '' })))
  await knex.destroy()
}

/** The table of reports in a database. */
export async function openTable(config: KnexConfig): Promise<OpenStorage> {
  const knex = await connect(config, 4)
  const isFile = config.client === 'better-sqlite3'
  if (isFile) await knex.raw('PRAGMA synchronous = NORMAL')
  return {
    async write(name, token) {
      const result = await knex.raw(WRITE, [`of ${token}`, token, name, token])
      // The number of rows that fit, as Postgres, SQLite and MariaDB tell it.
      const rows: unknown =
        result.rowCount ?? result.changes ?? (result as [{ affectedRows: number }])[0].affectedRows
      return rows === 1
    },
    close: () => knex.destroy(),
  }
}
