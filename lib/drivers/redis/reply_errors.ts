import { E_LOCK_STORAGE_ERROR } from '../../errors.js'

/** Commands whose arguments are passwords. ioredis rejects whatever waits with the error of its own login. */
const LOGIN = /^(auth|hello|acl|config)$/i

/**
 * Whether a failed call is one that the server has answered: it has done nothing then.
 */
export function isRefusal(error: unknown): boolean {
  const cause = error instanceof E_LOCK_STORAGE_ERROR ? error.cause : error
  return cause instanceof Error && cause.name === 'ReplyError'
}

/**
 * A driver's error as it may be shown: ioredis's errors carry the command that failed, with a password if it was the
 * login.
 */
export function withoutSecrets(error: unknown): unknown {
  if (!(error instanceof Error) || !LOGIN.test(commandOf(error)?.name ?? '')) return error
  const copy = Object.create(
    Object.getPrototypeOf(error) as object,
    Object.getOwnPropertyDescriptors(error)
  ) as Error & { command?: unknown }
  copy.command = { name: commandOf(error)?.name, args: [] }
  return copy
}

function commandOf(error: Error): { name?: string } | undefined {
  return (error as { command?: { name?: string } }).command
}
