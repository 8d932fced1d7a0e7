/**
 * From the options that knex takes for `better-sqlite3` and `sqlite3` to those of a native connection.
 */
import { resolve } from 'node:path'

import { index } from '../translation/rows.js'
import { Untranslatable, assertTranslatable, cannot } from '../translation/values.js'
import type { RawOptions } from '../translation/values.js'
import { SQLITE_DRIVER_OPTIONS, SQLITE_OPTIONS } from './options_table.js'
import type { ServerSettings } from './settings.js'

const ROWS = index(SQLITE_OPTIONS)
const DRIVER_ROWS = index(SQLITE_DRIVER_OPTIONS)

/** What a native connection does anyway, or what makes no difference. */
const USUAL_FLAGS = ['OPEN_READWRITE', 'OPEN_CREATE', 'OPEN_FULLMUTEX', 'OPEN_NOMUTEX']

/**
 * Where the addon's SQLite and the one of the app's driver keep out of each other's way in the same file, although they
 * are in one process; `src/node/sqlite_files.rs` says why that isn't so everywhere.
 */
const SHARING = ['linux', 'win32']

/**
 * @throws Untranslatable if the addon must not open a file that the app's own driver has open
 */
export function assertSharable(): void {
  if (!SHARING.includes(process.platform)) {
    throw new Untranslatable(
      "on this platform two SQLite libraries in one process take each other's locks on a file away"
    )
  }
}

/**
 * @param client - Which of the two drivers it is
 */
export function translateSqlite(options: RawOptions, client: string): ServerSettings {
  const { filename, flags, options: driverOptions } = options
  assertTranslatable(options, ROWS)
  if (client === 'better-sqlite3' && typeof driverOptions === 'object' && driverOptions !== null) {
    // knex passes on those that are known here; the others it passes over.
    const given = Object.entries(driverOptions).filter(([name]) => DRIVER_ROWS.has(name))
    assertTranslatable(Object.fromEntries(given), DRIVER_ROWS, 'options.')
  }
  if (client !== 'better-sqlite3' && flags !== undefined && flags !== null) {
    const isUsual =
      Array.isArray(flags) && flags.every((flag) => USUAL_FLAGS.includes(flag as string))
    if (!isUsual) throw cannot('flags', 'they change how the file is opened')
  }
  if (typeof filename !== 'string') throw cannot('filename', 'it is no text')
  if (filename === '' || filename.startsWith(':memory:')) {
    throw new Untranslatable('the database is in memory')
  }
  if (/^file:/i.test(filename)) throw cannot('filename', 'it is a URI')
  if (filename.includes('\0')) throw cannot('filename', 'it is no file')
  return { kind: 'sqlite', path: resolve(filename), pgbouncer: false }
}
