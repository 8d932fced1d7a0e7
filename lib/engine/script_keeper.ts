import { native } from '../native.js'
import type { ResolvedAutoExtend } from '../types/main.js'
import { isExtendObserved, observeExtend } from '../diagnostics.js'
import type { Lease, LockEngine } from './lease.js'
import { LeaseLife } from './lease_life.js'
import type { LeaseKeeper } from './lease_life.js'
import { isNotOwned } from './not_owned.js'

/** After a suspended machine has woken up, a timer may be late by as much; milliseconds. */
const LONGEST_TIMEOUT = 10_000

/** Extends a lease, for so many milliseconds from now. */
type Extend = (lease: Lease, ttl: number) => void | Promise<void>

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
   * @param ttl - Milliseconds that each extension lasts
   * @param max - Milliseconds that the lease may last in all
   * @param store - What the store is called
   */
  keep(lease: Lease, ttl: number, { max }: ResolvedAutoExtend, store: string | undefined): void {
    if (lease.endsAt === Number.POSITIVE_INFINITY) return
    const extend = (millis: number) => this.#extend(lease, millis, store)
    const kept = new KeptLease(lease, ttl, native.now() + max, extend, () => this.#forget(kept))
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
  readonly #until: number
  readonly #extend: (ttl: number) => void | Promise<void>
  readonly #onStop: () => void
  /** To when it was extended by hand. */
  #wanted = 0
  #timer: NodeJS.Timeout | undefined
  #isAsking = false
  #isStopped = false
  #trouble: 'max' | 'unreachable' | 'expired' = 'expired'

  constructor(
    lease: Lease,
    ttl: number,
    until: number,
    extend: (ttl: number) => void | Promise<void>,
    onStop: () => void
  ) {
    this.lease = lease
    this.#ttl = ttl
    this.#until = until
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

  /** Nothing to do until a third of the TTL is over, unless it ends before it was to. */
  rest(): void {
    const due = this.lease.endsAt - (this.#ttl * 2) / 3
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
    const isEarly = lease.endsAt - now > (this.#ttl * 2) / 3 + 1
    if (!atOnce && isEarly && !this.#isCut()) this.rest()
    else if (lease.endsAt <= now) LeaseLife.of(lease).lose(this.#trouble)
    else if (this.#isAsking) this.#arm(lease.endsAt)
    else if (Math.max(this.#until, this.#wanted) <= lease.endsAt + 1) {
      this.#trouble = 'max'
      this.#arm(lease.endsAt)
    } else {
      const span = Math.max(Math.min(this.#ttl, this.#until - now), this.#wanted - now)
      void this.#extendIt(Math.floor(span))
    }
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
      this.#trouble = 'expired'
      this.rest()
    } else this.#arm(Math.min(lease.endsAt, native.now() + this.#ttl / 12))
  }

  #arm(at: number): void {
    clearTimeout(this.#timer)
    if (this.#isStopped) return
    const pause = Math.min(Math.max(Math.ceil(at - native.now()), 1), LONGEST_TIMEOUT)
    this.#timer = setTimeout(() => this.lookAfter(), pause).unref()
  }
}
