/**
 * What the errors of the drivers below the app's client say. Each driver has a way of its own, and so has Prisma.
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
  codes: ['42P01', 'ER_NO_SUCH_TABLE', 'P2021'],
  numbers: [1146, 208, 942],
  message: /no such table|ORA-00942/,
}

const KEY_CONFLICT: Signs = {
  codes: [
    ...['23505', 'ER_DUP_ENTRY', 'P2002'],
    ...['SQLITE_CONSTRAINT_PRIMARYKEY', 'SQLITE_CONSTRAINT_UNIQUE'],
  ],
  numbers: [1062, 2627, 2601],
  message: /UNIQUE constraint failed|ORA-00001/,
}

const COLLISION: Signs = {
  codes: ['40001', '40P01', 'ER_LOCK_DEADLOCK', 'SQLITE_BUSY', 'SQLITE_BUSY_SNAPSHOT', 'P2034'],
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

function has(error: unknown, signs: Signs): boolean {
  const { codes, numbers, message } = signs
  if (typeof error !== 'object' || error === null) return false
  // SQL Server may have several things to say about one statement.
  if (error instanceof AggregateError) return error.errors.some((one) => has(one, signs))
  const { code, errno, errorNum, number, message: text } = error as DriverError
  return (
    (code !== undefined && codes.includes(code)) ||
    [errno, errorNum, number].some((one) => one !== undefined && numbers.includes(one)) ||
    (typeof text === 'string' && message.test(text))
  )
}
