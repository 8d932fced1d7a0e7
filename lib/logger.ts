import { shared } from './copies.js'
import type { Logger } from './types/main.js'

const ignore = () => {}

/**
 * The logger of those who gave none.
 */
export const noopLogger: Logger = shared('no logger', () => ({
  child: () => noopLogger,
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  fatal: ignore,
  isLevelEnabled: () => false,
}))

/**
 * The logger under which this package logs.
 */
export function packageLogger(logger: Logger | undefined): Logger {
  return logger ? logger.child({ pkg: 'loquet' }) : noopLogger
}
