import { E_LOCK_LOST } from '../errors.js'
import type { LossReason } from '../errors.js'
import { decodeKey } from '../key.js'
import { native } from '../native.js'
import type { Acquirer, ScopeOfLocks } from './lease.js'
import { Lease, SCOPE, SETTLED } from './lease.js'
import { isNotOwned } from './not_owned.js'

/** After a suspended machine has woken up, a timer may be late by as much; milliseconds. */
const LONGEST_TIMEOUT = 10_000

/** Whoever extends a lease while it is held. */
export interface LeaseKeeper {
  /** Milliseconds of the addon's clock; in the past once it is lost. */
  endsAt(): number
  /** Whether it tells by itself when the lease is over. */
  readonly tells: boolean
  /** The lease needs no extending any longer. */
  stop(): void
  /** The lease ends earlier than it was to, or may do so. */
  shortened?(): void
}

/** Whoever wants to hear how it ends. */
export interface LeaseObserver {
  released(): void
  lost(loss: E_LOCK_LOST): void
}

/**
 * What becomes of a lease while it is held, for those who want to hear of it.
 */
export class LeaseLife {
  keeper: LeaseKeeper | undefined
  /** When the lease ends by the wall clock, once somebody has asked; kept, so that the answer is always the same. */
  expirationTime: number | undefined
  /** Why it is lost, once it is. */
  loss: E_LOCK_LOST | undefined
  readonly #lease: Lease
  #controller: AbortController | undefined
  #observer: LeaseObserver | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(lease: Lease) {
    this.#lease = lease
  }

  /** That of a lease; made if there is none. */
  static of(lease: Lease): LeaseLife {
    return (lease.life ??= new LeaseLife(lease))
  }

  /** Aborted with E_LOCK_LOST when the lease is lost. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.loss !== undefined) this.#controller.abort(this.loss)
      else if (this.#lease.released) this.#controller.abort(lossOf(this.#lease.key, 'not_owned'))
      else this.#watch()
    }
    return this.#controller.signal
  }

  /** From now on until its end, which may have come already. */
  observe(observer: LeaseObserver): void {
    if (this.loss !== undefined) observer.lost(this.loss)
    else if (this.#lease.released) observer.released()
    else {
      this.#observer = observer
      this.#watch()
    }
  }

  /** The lease is over, though nobody has released it. What is lost stays lost. */
  lose(reason: LossReason): void {
    if (this.loss !== undefined || this.#lease.released) return
    this.loss = lossOf(this.#lease.key, reason)
    this.#lease.leave()
    this.#settle()
    this.#controller?.abort(this.loss)
    this.#observer?.lost(this.loss)
  }

  /** A release has been asked for. Whatever becomes of it, nobody extends the lease any longer. */
  letGo(): void {
    if (this.keeper === undefined) return
    this.#settle()
    this.keeper = undefined
    this.extended()
  }

  /** It has been released. */
  end(): void {
    this.#settle()
    // What was lost before has been told.
    if (this.loss === undefined) this.#observer?.released()
    this.#observer = undefined
  }

  /** It ends at another time than before. */
  extended(): void {
    this.expirationTime = undefined
    const isWatched = this.#controller !== undefined || this.#observer !== undefined
    if (isWatched && this.loss === undefined) this.#watch()
  }

  #settle(): void {
    clearTimeout(this.#timer)
    this.keeper?.stop()
  }

  /** Sees to it that the end of the lease is noticed, unless its keeper does. */
  #watch(): void {
    clearTimeout(this.#timer)
    const lease = this.#lease
    if (lease.released || this.keeper?.tells === true || lease.endsAt === Number.POSITIVE_INFINITY)
      return
    const remaining = lease.endsAt - native.now()
    if (remaining <= 0) {
      this.lose('expired')
      return
    }
    const pause = Math.min(Math.ceil(remaining), LONGEST_TIMEOUT)
    this.#timer = setTimeout(() => this.#watch(), pause).unref()
  }
}

/** Whether a lease is neither released, nor about to be, nor lost nor over. */
export function isHeld(lease: Lease | null): boolean {
  return lease !== null && !lease.isLetGo && mayBeHeld(lease)
}

/** The same, but for a release that is under way or has failed. */
export function mayBeHeld(lease: Lease): boolean {
  if (lease.released || lease.life?.loss !== undefined) return false
  return lease.currentEnd > native.now()
}

/** Aborted when a lease is lost; aborted already where nothing is held. */
export function signalOf(lease: Lease | null, key: string): AbortSignal {
  if (lease !== null && !lease.released) return LeaseLife.of(lease).signal
  return AbortSignal.abort(lossOf(key, 'not_owned'))
}

function lossOf(key: string, reason: LossReason): E_LOCK_LOST {
  return new E_LOCK_LOST([decodeKey(key), reason])
}

/** Milliseconds until a lease ends; `null` once it is released, and if it never ends. */
export function remainingTime(lease: Lease | null): number | null {
  if (lease === null || lease.released) return null
  const end = lease.currentEnd
  return end === Number.POSITIVE_INFINITY ? null : end - native.now()
}

/** When that is by the wall clock, in milliseconds since the Unix epoch. */
export function expirationTimeOf(lease: Lease | null): number | null {
  const remaining = remainingTime(lease)
  if (lease === null || remaining === null) return null
  const end = Math.floor(Date.now() + remaining)
  // One that is extended by itself has another end each time.
  const life = LeaseLife.of(lease)
  return life.keeper === undefined ? (life.expirationTime ??= end) : end
}

/**
 * The lease of a lock that is restored.
 *
 * @param expirationTime - When it ends, in milliseconds since the Unix epoch
 */
export function restoredLease(key: string, owner: string, expirationTime: number): Lease {
  const lease = new Lease(key, owner, native.now() + (expirationTime - Date.now()))
  LeaseLife.of(lease).expirationTime = expirationTime
  return lease
}

/** Passes an error on. A lease that its store doesn't know is lost, whatever the clock says. */
export function lostBy(lease: Lease, error: unknown): never {
  if (isNotOwned(error)) loseToOthers(lease)
  throw error
}

/** The store doesn't know a lease any longer. */
export function loseToOthers(lease: Lease): void {
  lease.leave()
  LeaseLife.of(lease).lose('not_owned')
}

/**
 * Somebody whose lease is extended by itself: whoever extends hears of the grant first.
 */
export class KeptAcquirer implements Acquirer {
  readonly #acquirer: Acquirer
  readonly #granted: (lease: Lease) => void
  readonly #refused: () => void

  constructor(acquirer: Acquirer, granted: (lease: Lease) => void, refused: () => void = () => {}) {
    this.#acquirer = acquirer
    this.#granted = granted
    this.#refused = refused
  }

  get [SCOPE](): ScopeOfLocks {
    return this.#acquirer[SCOPE]
  }

  [SETTLED](lease: Lease | null, isFirst: boolean, isTainted?: boolean): boolean {
    if (lease === null) this.#refused()
    else this.#granted(lease)
    return this.#acquirer[SETTLED](lease, isFirst, isTainted)
  }
}
