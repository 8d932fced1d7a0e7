/** Those who wait to hear of a signal's abort. */
const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `listener` when the signal is aborted. One event listener serves all waits of a signal: a thousand waits that
 * share one must not look like a leak (Node.js warns of more than ten listeners).
 */
export function onAbort(signal: AbortSignal, listener: () => void): void {
  let waiting = listeners.get(signal)
  if (waiting === undefined) {
    waiting = new Set()
    listeners.set(signal, waiting)
    signal.addEventListener('abort', announce, { once: true })
  }
  waiting.add(listener)
}

/**
 * Takes a listener back; with the last one the event listener goes.
 */
export function offAbort(signal: AbortSignal, listener: () => void): void {
  const waiting = listeners.get(signal)
  waiting?.delete(listener)
  if (waiting?.size === 0) {
    listeners.delete(signal)
    signal.removeEventListener('abort', announce)
  }
}

function announce(this: AbortSignal): void {
  const waiting = listeners.get(this)
  listeners.delete(this)
  for (const listener of waiting ?? []) listener()
}
