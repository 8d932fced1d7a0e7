/**
 * What a store couldn't do in all the time that it had. Whoever waits for the same key would only wait as long in vain, and
 * those behind longer still, so they hear of it, too.
 */

/** Known to all copies of the package. */
const MARK = Symbol.for('loquet.outOfTime')

export function markOutOfTime(error: Error): void {
  Object.defineProperty(error, MARK, { value: true })
}

export function isOutOfTime(reason: unknown): boolean {
  return typeof reason === 'object' && reason !== null && MARK in reason
}
