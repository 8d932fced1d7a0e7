import { native } from '../native.js'
import { isExtendObserved, observeExtend } from '../diagnostics.js'
import type { LossReason } from '../errors.js'
import type { Lease, LockEngine } from './lease.js'
import { LeaseLife } from './lease_life.js'
import type { LeaseKeeper } from './lease_life.js'
import { isNotOwned } from './not_owned.js'

/** After a suspended machine has woken up, a timer may be late by as much; milliseconds. */
const LONGEST_TIMEOUT = 10_000

/** Extends a lease, for so many milliseconds from now. */
type Extend = (lease: Lease, ttl: number) => void | Promise<void>

/** How a lease is extended. */
export interface Keeping {
  /** Milliseconds that each extension lasts. */
  ttl: number
  /**
   * Milliseconds from one to the next, where that is also how it is noticed that the lock was freed: then it goes on when
   * nothing is to be extended any longer. A third of `ttl` unless given.
   */
  pause?: number
  /** Milliseconds that the lease may last in all. */
  max: number
  /** Why it has ended if nobody extended it in time, though the store would have. */
  tooLate: LossReason
}

/**
 * Extends leases from the JavaScript thread: those of stores that only JavaScript can call. It can't do anything while the
 * event loop is blocked.
 */
export class ScriptKeeper {
  readonly #engine: Pick<LockEngine, 'nameOf'>
  readonly #extendNow: Extend
  readonly #kept = new Map<string, Set<KeptLease>>()

  constructor(engine: Pick<LockEngine, 'nameOf'>, extend: Extend) {
    this.#engine = engine
    this.#extendNow = extend
  }

  /**
   * Begins to extend a lease that has just been granted.
   *
   * @param store - What the store is called
   */
  keep(lease: Lease, keeping: Keeping, store: string | undefined): void {
    if (lease.endsAt === Number.POSITIVE_INFINITY) return
    const extend = (millis: number) => this.#extend(lease, millis, store)
    const kept = new KeptLease(lease, keeping, extend, () => this.#forget(kept))
    const sameKey = this.#kept.get(lease.key)
    if (sameKey === undefined) this.#kept.set(lease.key, new Set([kept]))
    else sameKey.add(kept)
    LeaseLife.of(lease).keeper = kept
    kept.rest()
  }

  /** The key has been freed by force: whether its holder has lost it is asked at once. */
  suspect(key: string): void {
    for (const kept of this.#kept.get(key) ?? []) kept.lookAfter(true)
  }

  /**
   * A lease has been extended by hand: by its holder, or by somebody who has restored the lock.
   *
   * @param wanted - When it was to end; something that has crossed it may have made that another time, see `Crossings`
   */
  extendedByHand(lease: Lease, wanted: number): void {
    for (const kept of this.#kept.get(lease.key) ?? []) {
      if (kept.lease !== lease) {
        if (kept.lease.owner === undefined || kept.lease.owner !== lease.owner) continue
        kept.lease.extendTo(lease.endsAt)
      }
      kept.extendedByHand(wanted)
    }
  }

  /** An extension by hand has failed, and nobody knows what it has done. */
  failedByHand(lease: Lease): void {
    for (const kept of this.#kept.get(lease.key) ?? [])
      if (kept.lease === lease) kept.lookAfter(true)
  }

  /** A lease has been released. If somebody did that who had restored the lock, its holder asks at once. */
  released(lease: Lease): void {
    for (const kept of this.#kept.get(lease.key) ?? []) {
      if (kept.lease !== lease && kept.lease.owner === lease.owner) kept.lookAfter(true)
    }
  }

  #extend(lease: Lease, ttl: number, store: string | undefined): void | Promise<void> {
    const extend = () => this.#extendNow(lease, ttl)
    if (!isExtendObserved()) return extend()
    return observeExtend(this.#engine, store, lease, { ttl, isAutomatic: true }, extend)
  }

  #forget(kept: KeptLease): void {
    const { key } = kept.lease
    const sameKey = this.#kept.get(key)
    sameKey?.delete(kept)
    if (sameKey?.size === 0) this.#kept.delete(key)
  }
}

class KeptLease implements LeaseKeeper {
  readonly tells = true
  readonly lease: Lease
  readonly #ttl: number
  readonly #pause: number | undefined
  /** What is left of the lease when it is to be extended. */
  readonly #reserve: number
  readonly #until: number
  readonly #tooLate: LossReason
  readonly #extend: (ttl: number) => void | Promise<void>
  readonly #onStop: () => void
  /** To when it was extended by hand. */
  #wanted = 0
  #timer: NodeJS.Timeout | undefined
  #armedFor = Number.POSITIVE_INFINITY
  #isAsking = false
  #isStopped = false
  #trouble: LossReason

  constructor(
    lease: Lease,
    { ttl, pause, max, tooLate }: Keeping,
    extend: (ttl: number) => void | Promise<void>,
    onStop: () => void
  ) {
    this.lease = lease
    this.#ttl = ttl
    this.#pause = pause
    this.#reserve = (ttl * 2) / 3
    this.#until = native.now() + max
    this.#tooLate = tooLate
    this.#trouble = tooLate
    this.#extend = extend
    this.#onStop = onStop
  }

  endsAt(): number {
    return this.lease.endsAt
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#onStop()
  }

  /** It ends earlier than it was to, or may do so: what was to be done later is done before that. */
  shortened(): void {
    const now = native.now()
    const due = now + (this.lease.endsAt - now) / 3
    if (due < this.#armedFor) this.#arm(due)
  }

  /** Nothing to do before the pause is over, unless it ends before it was to. */
  rest(): void {
    const due =
      this.#pause === undefined ? this.lease.endsAt - this.#reserve : native.now() + this.#pause
    this.#arm(this.#isCut() ? Math.min(due, native.now() + this.#ttl / 12) : due)
  }

  extendedByHand(wanted: number): void {
    this.#wanted = wanted
    if (this.#isCut()) this.lookAfter(true)
    else this.rest()
  }

  /** Extends the lease, or notices that it is over. `atOnce`: even if it has just been extended. */
  lookAfter(atOnce = false): void {
    const now = native.now()
    const { lease } = this
    const isEarly = this.#pause === undefined && lease.endsAt - now > this.#reserve + 1
    if (!atOnce && isEarly && !this.#isCut()) this.rest()
    else if (lease.endsAt <= now) LeaseLife.of(lease).lose(this.#trouble)
    else if (this.#isAsking) this.#arm(lease.endsAt)
    else if (Math.max(this.#until, this.#wanted) <= lease.endsAt + 1) this.#lookAtLast(now, atOnce)
    else {
      const span = Math.max(Math.min(this.#ttl, this.#until - now), this.#wanted - now)
      void this.#extendIt(Math.floor(span))
    }
  }

  /** It isn't extended any further. Whether it is still there may be asked nevertheless. */
  #lookAtLast(now: number, atOnce: boolean): void {
    const { lease } = this
    this.#trouble = 'max'
    if (atOnce || (this.#pause !== undefined && lease.endsAt - now > this.#pause)) {
      const end = Math.max(this.#until, this.#wanted, lease.endsAt)
      void this.#extendIt(Math.floor(end - now))
    } else this.#arm(lease.endsAt)
  }

  /** Whether it ends before the time that it was extended to by hand. */
  #isCut(): boolean {
    return this.#wanted > this.lease.endsAt + 1
  }

  async #extendIt(ttl: number): Promise<void> {
    const { lease } = this
    this.#isAsking = true
    this.#trouble = 'unreachable'
    this.#arm(lease.endsAt)
    let isExtended = false
    try {
      const extending = this.#extend(ttl)
      if (extending !== undefined) await extending
      isExtended = true
    } catch (error) {
      if (this.#isStopped) return
      if (isNotOwned(error)) {
        LeaseLife.of(lease).lose('not_owned')
        return
      }
    } finally {
      this.#isAsking = false
    }
    if (isExtended) {
      this.#trouble = this.#tooLate
      this.rest()
    } else this.#arm(Math.min(lease.endsAt, native.now() + this.#ttl / 12))
  }

  #arm(at: number): void {
    clearTimeout(this.#timer)
    if (this.#isStopped) return
    this.#armedFor = at
    const pause = Math.min(Math.max(Math.ceil(at - native.now()), 1), LONGEST_TIMEOUT)
    this.#timer = setTimeout(() => this.lookAfter(), pause).unref()
  }
}
