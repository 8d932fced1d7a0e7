/**
 * What the errors of the drivers below knex say. Each driver has a way of its own.
 */

interface DriverError {
  /** Postgres: SQLSTATE. MySQL, SQLite: the name of the error. */
  code?: unknown
  /** MySQL, Oracle. */
  errno?: unknown
  errorNum?: unknown
  /** SQL Server. */
  number?: unknown
  message?: unknown
}

/** What an error is known by, in each driver. */
interface Signs {
  codes: unknown[]
  numbers: unknown[]
  message: RegExp
}

const MISSING_TABLE: Signs = {
  codes: ['42P01', 'ER_NO_SUCH_TABLE'],
  numbers: [1146, 208, 942],
  message: /no such table|ORA-00942/,
}

const KEY_CONFLICT: Signs = {
  codes: ['23505', 'ER_DUP_ENTRY', 'SQLITE_CONSTRAINT_PRIMARYKEY', 'SQLITE_CONSTRAINT_UNIQUE'],
  numbers: [1062, 2627, 2601],
  message: /UNIQUE constraint failed|ORA-00001/,
}

const COLLISION: Signs = {
  codes: ['40001', '40P01', 'ER_LOCK_DEADLOCK', 'SQLITE_BUSY', 'SQLITE_BUSY_SNAPSHOT'],
  numbers: [1213, 1205],
  message: /SQLITE_BUSY|ORA-08177|ORA-00060/,
}

/** The table isn't there. */
export function isMissingTable(error: unknown): boolean {
  return has(error, MISSING_TABLE)
}

/** A row with that key is there already. */
export function isKeyConflict(error: unknown): boolean {
  return has(error, KEY_CONFLICT)
}

/** Somebody else was in the way; nothing has been done, and it may be tried again. */
export function isCollision(error: unknown): boolean {
  return has(error, COLLISION)
}

function has(error: unknown, { codes, numbers, message }: Signs): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, errno, errorNum, number, message: text } = error as DriverError
  return (
    (code !== undefined && codes.includes(code)) ||
    [errno, errorNum, number].some((one) => one !== undefined && numbers.includes(one)) ||
    (typeof text === 'string' && message.test(text))
  )
}
