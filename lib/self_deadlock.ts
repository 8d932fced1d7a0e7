import { isSlow } from './engine/lease.js'
import type { LockEngine } from './engine/lease.js'
import { isHeld } from './engine/lease_life.js'
import { decodeKey } from './key.js'
import { noopLogger } from './logger.js'
import { native } from './native.js'
import type { Scope } from './scope.js'

/** The code of the warning. */
const CODE = 'LOQUET_SELF_DEADLOCK'

/** So many keys are named at most. */
const MOST_KEYS = 1000

/** So many calls upwards are looked at. */
const DEPTH = 200

/** After a look at the stack comes a pause of so many times what it has taken: looks may cost one percent. */
const PAUSE = 99

/** At most so many milliseconds: a look that was long because the machine was busy must not blind the next second. */
const LONGEST_PAUSE = 50

const named = new Set<string>()
let nextLook = 0

/**
 * An acquire has to wait, maybe for no more than an answer. If that is for a lock whose `run` can't end before the acquire
 * does, a warning says so, once for each key.
 *
 * Which callbacks wait for the acquire is what V8 knows of awaiting functions for stack traces. So nothing is kept for it
 * while nobody waits, and a task that is not awaited by the callback that started it isn't mistaken for a part of it.
 *
 * @param key - Encoded, see `encodeKey`
 */
export function lookForSelfDeadlock(scope: Scope, engine: LockEngine, key: string): void {
  const { holdings } = scope
  const lease = isSlow(engine) ? holdings.running.get(key) : holdings.find(key)
  const frame = lease?.frame
  if (lease === undefined || frame === undefined) return
  const startedAt = native.now()
  if (startedAt < nextLook || named.size >= MOST_KEYS || named.has(key)) return
  if (isHeld(lease) && isAwaited(frame)) {
    named.add(key)
    warn(scope, decodeKey(key))
  }
  const endedAt = native.now()
  nextLook = endedAt + Math.min((endedAt - startedAt) * PAUSE, LONGEST_PAUSE)
}

/** Whether a function whose `this` is `frame` waits for what is being done. */
function isAwaited(frame: object): boolean {
  const mark = 'loquet: the frame of a run'
  // It shows as the name of the type of `this`, which stack traces have in strict code too.
  Object.defineProperty(frame, Symbol.toStringTag, { value: mark, configurable: true })
  try {
    return callsUpwards().some((call) => call.getTypeName() === mark)
  } catch {
    // Where `Error` can't be changed, or traces are made in another way, nothing is found.
    return false
  } finally {
    Reflect.deleteProperty(frame, Symbol.toStringTag)
  }
}

function callsUpwards(): NodeJS.CallSite[] {
  const { prepareStackTrace, stackTraceLimit } = Error
  let found: NodeJS.CallSite[] = []
  Error.stackTraceLimit = DEPTH
  try {
    Error.prepareStackTrace = (_error, calls) => {
      found = calls
      return ''
    }
    void new Error('never thrown').stack
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    Error.prepareStackTrace = prepareStackTrace
  }
  return found
}

function warn({ logger }: Scope, key: string): void {
  const text =
    `The lock "${key}" is waited for within a run() that holds it: ` +
    'neither can go on before the lease ends or the wait is given up'
  if (logger === noopLogger) {
    process.emitWarning(text, { code: CODE })
    return
  }
  try {
    logger.warn({ key, code: CODE }, text)
  } catch {
    // A logger that fails must cost nobody a lock.
  }
}
