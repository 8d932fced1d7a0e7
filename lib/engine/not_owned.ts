import { E_LOCK_NOT_OWNED } from '../errors.js'

/** Ours, or that of another copy of this package or of a peer: stores may throw either. */
export function isNotOwned(error: unknown): error is E_LOCK_NOT_OWNED {
  return (
    error instanceof E_LOCK_NOT_OWNED ||
    (error instanceof Error && 'code' in error && error.code === 'E_LOCK_NOT_OWNED')
  )
}
