/**
 * The error classes: how they are made, what they carry, and how they are told apart.
 */
import { type Exception, type InvalidArgumentsException } from '@poppinss/exception'
import type * as verrou from '@verrou/core'
import { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR, errors } from 'loquet'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'
import type { LossReason } from 'loquet'

/** The namespace and the package's own exports are the same classes. */
check<Equal<typeof errors.E_LOCK_NOT_OWNED, typeof E_LOCK_NOT_OWNED>>()
check<Equal<typeof errors.E_LOCK_STORAGE_ERROR, typeof E_LOCK_STORAGE_ERROR>>()
check<Equal<typeof errors.InvalidArgumentsException, typeof InvalidArgumentsException>>()
check<
  Equal<
    keyof typeof errors,
    | 'E_LOCK_NOT_OWNED'
    | 'E_LOCK_STORAGE_ERROR'
    | 'E_LOCK_CLOSED'
    | 'E_LOCK_LOST'
    | 'E_LOCK_NOT_ACQUIRED'
    | 'E_LOCK_UNSUPPORTED_PLATFORM'
    | 'InvalidArgumentsException'
  >
>()

/** A custom store throws them as it would throw the peer's. */
export const thrown: Exception[] = [
  new E_LOCK_NOT_OWNED(),
  new E_LOCK_NOT_OWNED([], { cause: new Error('cause') }),
  new E_LOCK_STORAGE_ERROR([{ message: 'The server is gone' }]),
  new E_LOCK_STORAGE_ERROR(['The server is gone'], { cause: new Error('cause'), status: 503 }),
  new errors.E_LOCK_CLOSED(),
  new errors.E_LOCK_LOST(['key', 'expired'], { cause: new Error('cause') }),
  new errors.E_LOCK_NOT_ACQUIRED(['key']),
  new errors.E_LOCK_UNSUPPORTED_PLATFORM(['an island'], { cause: new Error('cause') }),
  new errors.InvalidArgumentsException('Invalid TTL'),
]
// @ts-expect-error Not one of the reasons.
new errors.E_LOCK_LOST(['key', 'boredom'])
check<Equal<errors.E_LOCK_LOST['reason'], LossReason>>()
check<Equal<LossReason, 'expired' | 'not_owned' | 'unreachable' | 'max' | 'stalled' | 'closed'>>()
check<
  Equal<
    errors.LockErrorOptions extends ErrorOptions & { code?: string; status?: number }
      ? keyof errors.LockErrorOptions
      : never,
    'cause' | 'code' | 'status'
  >
>()
export const asPeers: {
  E_LOCK_NOT_OWNED: typeof verrou.E_LOCK_NOT_OWNED
  E_LOCK_STORAGE_ERROR: typeof verrou.E_LOCK_STORAGE_ERROR
} = { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR }
// @ts-expect-error What went wrong has to be said.
export const silent = new E_LOCK_STORAGE_ERROR()
// @ts-expect-error In a list, as AdonisJS's errors take their arguments.
export const unlisted = new E_LOCK_STORAGE_ERROR('The server is gone')

/** `instanceof` narrows; a lost lease carries what the callback returned, whose type nobody knows. */
export function handle(error: unknown) {
  if (error instanceof E_LOCK_NOT_OWNED) {
    check<Equal<typeof error, E_LOCK_NOT_OWNED>>()
    check<Equal<typeof error.result, unknown>>()
    // @ts-expect-error It has to be looked at first.
    error.result.toString()
  } else if (error instanceof errors.E_LOCK_STORAGE_ERROR) {
    check<Equal<typeof error.status, number>>()
    check<Equal<typeof error.cause, unknown>>()
  } else if (error instanceof errors.E_LOCK_CLOSED) {
    check<Equal<typeof error.code, string | undefined>>()
  }
}

/** Codes and statuses are there without an instance. */
check<Equal<(typeof E_LOCK_NOT_OWNED)['code'], string>>()
check<Equal<(typeof E_LOCK_NOT_OWNED)['status'], number>>()
check<Equal<(typeof E_LOCK_STORAGE_ERROR)['code'], string>>()
check<Equal<(typeof errors.E_LOCK_CLOSED)['status'], number>>()
some<Exception>() satisfies Error
