import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMariadb, startPostgres } from '../../scripts/database/servers.mjs'

/**
 * A kind of database: Postgres, MySQL (a MariaDB server), and SQLite with either of its journals.
 *
 * @typedef {'postgres' | 'mysql' | 'sqlite-wal' | 'sqlite-journal'} Kind
 */

/** @type {Kind[]} */
export const kinds = ['postgres', 'mysql', 'sqlite-wal', 'sqlite-journal']

/** Who locks has a table of its own, and with SQLite a file. */
const tables = {
  'loquet': 'locks_loquet',
  '@verrou/core': 'locks_verrou',
  'pgbench': 'locks_pgbench',
}

/** @typedef {keyof typeof tables} Locking - Who locks: a package, or the server's own benchmark */

/** What the tests' servers are spared, and a database in production isn't. */
const durable = {
  postgres: { fsync: 'on', full_page_writes: 'on' },
  mysql: { innodb_flush_method: 'fsync' },
}

/** Under this name the processes that measure learn where the databases are. */
const variable = 'LOQUET_BENCH_DATABASES'

/**
 * @typedef {object} Places
 * @property {string} postgres - A URL
 * @property {string} mysql - A URL
 * @property {string} folder - Of the SQLite files
 */

/** @returns {Places} */
export function places() {
  const value = process.env[variable]
  if (!value) {
    throw new Error(`There are no databases: ${variable} isn't set`)
  }
  return JSON.parse(value)
}

/**
 * Where the locks of a package are, as knex and loquet take it.
 *
 * @param {Kind} kind
 * @param {Locking} name
 */
export function placeOf(kind, name) {
  const { postgres, mysql } = places()
  const tableName = tables[name]
  switch (kind) {
    case 'postgres':
      return { client: 'pg', connection: postgres, tableName }
    case 'mysql':
      return { client: 'mysql2', connection: mysql, tableName }
    default:
      return { client: 'better-sqlite3', connection: { filename: file(kind, name) }, tableName }
  }
}

/**
 * @param {Kind} kind
 * @param {string} name
 */
function file(kind, name) {
  return join(places().folder, `${kind}-${tables[/** @type {Locking} */ (name)]}.sqlite`)
}

/**
 * Starts a PostgreSQL and a MariaDB server of this run's own and tells the processes that are started
 * afterwards where they are.
 *
 * They are those of the tests, which don't wait for the disk unless LOQUET_BENCH_FSYNC=on says so: what
 * is compared is the work, whatever disk the machine has. SQLite waits as each contender makes it.
 */
export async function startDatabases() {
  const waits = process.env.LOQUET_BENCH_FSYNC === 'on'
  const folder = mkdtempSync(join(tmpdir(), 'loquet-bench-sqlite-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [postgres, mysql] = await Promise.all([
    startPostgres(waits ? { config: durable.postgres } : {}),
    startMariadb(waits ? { config: durable.mysql } : {}),
  ])
  process.env[variable] = JSON.stringify({ postgres: postgres.url, mysql: mysql.url, folder })

  const [{ server_version: postgresVersion }] = await postgres.query('SHOW server_version')
  const [{ version: mysqlVersion }] = await mysql.query('SELECT VERSION() AS version')
  return {
    versions: {
      PostgreSQL: `${postgresVersion}${waits ? '' : ' without fsync'}`,
      MariaDB: `${mysqlVersion}${waits ? '' : ' without fsync'}`,
      SQLite: withSqlite(':memory:', (database) =>
        String(database.prepare('SELECT sqlite_version()').pluck().get())
      ),
    },
    /** Back to how it began: tables without rows, for nobody's first lock to make. */
    clear: async () => {
      for (const table of Object.values(tables)) {
        await postgres.query(`DROP TABLE IF EXISTS ${table}`)
        await postgres.query(tableFor(table, '"key"', ''))
        await mysql.query(`DROP TABLE IF EXISTS ${table}`)
        await mysql.query(tableFor(table, '`key`', 'COLLATE utf8mb4_bin'))
      }
      for (const kind of kinds.filter((one) => one.startsWith('sqlite'))) {
        for (const [name, table] of Object.entries(tables)) {
          for (const ending of ['', '-wal', '-shm', '-journal']) {
            rmSync(`${file(kind, name)}${ending}`, { force: true })
          }
          withSqlite(file(kind, name), (database) => {
            // It stays with the file
            database.pragma(`journal_mode = ${kind === 'sqlite-wal' ? 'WAL' : 'DELETE'}`)
            database.exec(tableFor(table, '"key"', ''))
          })
        }
      }
    },
    stop: () => Promise.all([postgres.stop(), mysql.stop()]),
  }
}

/**
 * @param {string} table
 * @param {string} key - Quoted
 * @param {string} collation
 */
function tableFor(table, key, collation) {
  return (
    `CREATE TABLE ${table} (${key} varchar(255) ${collation} NOT NULL PRIMARY KEY, ` +
    `owner varchar(255) ${collation} NOT NULL, expiration bigint NULL)`
  )
}

/**
 * @template T
 * @param {string} path
 * @param {(database: import('better-sqlite3').Database) => T} work
 * @returns {T}
 */
function withSqlite(path, work) {
  const Database = createRequire(import.meta.url)('better-sqlite3')
  const database = new Database(path)
  try {
    return work(database)
  } finally {
    database.close()
  }
}
