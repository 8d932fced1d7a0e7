/* eslint-disable @typescript-eslint/naming-convention -- errors are named after their codes, as everywhere in AdonisJS */
import { Exception, InvalidArgumentsException } from '@poppinss/exception'

import { recognizeCopies } from './copies.js'

/**
 * Options of the error classes: the standard `ErrorOptions` plus AdonisJS's `code` and `status`.
 */
export interface LockErrorOptions extends ErrorOptions {
  code?: string
  status?: number
}

/**
 * A lock was to be released or extended by somebody who doesn't hold it: it was never acquired, it expired, it was
 * freed by force, or somebody else acquired it meanwhile.
 *
 * When `run` rejects with it because the lease was lost while the callback worked, `result` carries what the callback
 * returned.
 */
export class E_LOCK_NOT_OWNED extends Exception {
  static override code = 'E_LOCK_NOT_OWNED'
  static override status = 500
  static override message =
    'Looks like you are trying to update or release a lock that is not acquired by you'

  /** What the callback of `run` returned before the lost lease was noticed. */
  declare result?: unknown

  constructor(_args?: unknown, options?: LockErrorOptions) {
    super(undefined, options)
  }
}

/**
 * The storage below a store failed. `cause` is the driver's error.
 */
export class E_LOCK_STORAGE_ERROR extends Exception {
  static override code = 'E_LOCK_STORAGE_ERROR'
  static override status = 500

  /**
   * @param args - What went wrong, in words
   */
  constructor(args: [{ message: string } | string], options?: LockErrorOptions) {
    const [reason] = args
    super(`Lock storage error: ${typeof reason === 'string' ? reason : reason.message}`, options)
  }
}

/**
 * A lock was wanted from a `Verrou` that has been closed, or was waited for while it was closed.
 */
export class E_LOCK_CLOSED extends Exception {
  static override code = 'E_LOCK_CLOSED'
  static override status = 503
  static override message =
    'The lock manager has been closed: locks can no longer be acquired from it'

  constructor(_args?: unknown, options?: LockErrorOptions) {
    super(undefined, options)
  }
}

/** Why a lease is over that nobody has released. */
export type LossReason = 'expired' | 'not_owned' | 'unreachable' | 'max' | 'stalled' | 'closed'

const LOSSES: Record<LossReason, string> = {
  expired: 'its lease ran out',
  not_owned: 'somebody freed it or has it by now',
  unreachable: 'its lease could not be extended before it ended, because the store did not answer',
  max: 'its lease has been extended for as long as autoExtend.max allows',
  stalled: 'the event loop has not turned for as long as autoExtend.stall allows',
  closed: 'the lock manager has been closed',
}

/**
 * A lock that was held is held no longer, though nobody has released it. The reason of a lock's `signal`.
 */
export class E_LOCK_LOST extends Exception {
  static override code = 'E_LOCK_LOST'
  static override status = 500

  /** The lock's key. */
  readonly key: string
  readonly reason: LossReason

  constructor(args: [key: string, reason: LossReason], options?: LockErrorOptions) {
    const [key, reason] = args
    super(`The lock "${key}" has been lost: ${LOSSES[reason]}`, options)
    this.key = key
    this.reason = reason
  }
}

/**
 * A lock was wanted by `hold` and could not be had within its chances and its time.
 */
export class E_LOCK_NOT_ACQUIRED extends Exception {
  static override code = 'E_LOCK_NOT_ACQUIRED'
  static override status = 423

  /** The lock's key. */
  readonly key: string

  constructor(args: [key: string], options?: LockErrorOptions) {
    const [key] = args
    super(`The lock "${key}" could not be acquired: somebody else holds it`, options)
    this.key = key
  }
}

/**
 * The addon can't be loaded here: there is none for this platform, its package wasn't installed, or it doesn't fit. Thrown
 * when the package is imported. The message says what to do, `cause` is what went wrong below.
 */
export class E_LOCK_UNSUPPORTED_PLATFORM extends Exception {
  static override code = 'E_LOCK_UNSUPPORTED_PLATFORM'
  static override status = 500

  /**
   * @param args - Why, in words
   */
  constructor(args: [string], options?: LockErrorOptions) {
    super(`The lock engine can't be loaded on ${args[0]}`, options)
  }
}

recognizeCopies(E_LOCK_NOT_OWNED, 'E_LOCK_NOT_OWNED')
recognizeCopies(E_LOCK_STORAGE_ERROR, 'E_LOCK_STORAGE_ERROR')
recognizeCopies(E_LOCK_CLOSED, 'E_LOCK_CLOSED')
recognizeCopies(E_LOCK_LOST, 'E_LOCK_LOST')
recognizeCopies(E_LOCK_NOT_ACQUIRED, 'E_LOCK_NOT_ACQUIRED')
recognizeCopies(E_LOCK_UNSUPPORTED_PLATFORM, 'E_LOCK_UNSUPPORTED_PLATFORM')

export { InvalidArgumentsException }
