import { Lease, ListedLease, SCOPE, SETTLED } from './lease.js'
import { Wait } from './wait.js'

const nobody = { [SCOPE]: {}, [SETTLED]: () => false }
const key = ''

/**
 * One instance of each short-lived class, kept for ever.
 *
 * V8 holds the hidden class of objects weakly. A full garbage collection at a moment when no lease and no wait exists
 * (an idle server, say) forgets theirs, and with it all code that was optimised for them; the next burst of locks then
 * begins in the interpreter and takes more than twice as long.
 */
export const anchors = {
  lease: new Lease(key, undefined, 0),
  listed: new ListedLease(key, undefined, 0),
  wait: new Wait(
    {
      acquirer: nobody,
      key,
      owner: undefined,
      ttl: 0,
      retry: { attempts: 1, delay: 0 },
      signal: undefined,
      keep: null,
      fenced: false,
      isFirst: false,
      isTried: false,
      wantsLease: false,
    },
    () => {}
  ),
  /** A lock that is never acquired, for each factory. */
  locks: new WeakMap<object, object>(),
}
