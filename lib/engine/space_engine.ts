import { E_LOCK_NOT_OWNED } from '../errors.js'
import { DeadlineTimer } from './deadline_timer.js'
import { BY_NAME, Lease, SCOPE } from './lease.js'
import type { AcquireRequest, LockEngine, Waited } from './lease.js'
import { KeptAcquirer, LeaseLife } from './lease_life.js'
import { ScriptKeeper } from './script_keeper.js'
import { AbortableWait, Wait } from './wait.js'
import type { Settle } from './wait.js'
import {
  DEADLINE,
  DONE,
  ENDS_AT,
  FENCED,
  IN_TURN,
  SERIAL,
  SLOT,
  WAITER_INDEX,
  WAITER_SERIAL,
  WAITING,
  deadlineListeners,
  deliver,
  environment,
  giveBackTicket,
  hot,
  native,
  numbers,
  takeTicket,
  ticketsOf,
} from '../native.js'
import { newOwner } from '../owner.js'
import { toStats } from './stats.js'
import type { ResolvedAutoExtend, StoreStats } from '../types/main.js'

/** No more often than this, in milliseconds, the memory of expired leases is freed. */
const SWEEP_PAUSE = 1000

/** A lease that is extended ends in so many milliseconds at most, should the process live on without its holder. */
const LONGEST_KEPT = 3_600_000

/** Frees a native lock space when its engine is garbage. */
const abandoned = new FinalizationRegistry((space: number) => native.dropSpace(space))

/** Engines of shared spaces: one for each name, so that a thread has one timer for each. */
const shared = new Map<string, SpaceEngine>()

/**
 * The engine of a lock space in memory. Everything is answered within the call; only waiting takes time.
 */
export class SpaceEngine implements LockEngine {
  readonly namesOwners = false
  readonly #space: number
  readonly #isShared: boolean
  readonly #timer: DeadlineTimer
  #keeper: ScriptKeeper | undefined
  #isSweeping = false

  /**
   * @param name - The name of a space that is shared by all threads of the process; private without it
   */
  constructor(name?: string) {
    this.#space = native.createSpace(environment, name)
    this.#isShared = name !== undefined
    // Through a weak reference: the timer must not keep an engine from being collected.
    const self = new WeakRef(this)
    this.#timer = new DeadlineTimer(() => self.deref()?.tick())
    if (name === undefined) abandoned.register(this, this.#space)
    else deadlineListeners.set(this.#space, () => this.tick())
  }

  /** The engine of a shared space in this thread. */
  static shared(name: string): SpaceEngine {
    let engine = shared.get(name)
    if (engine === undefined) {
      engine = new SpaceEngine(name)
      shared.set(name, engine)
    }
    return engine
  }

  /**
   * One try, without waiting; without regard to those who wait unless it is made `inTurn`.
   */
  tryNow(
    key: string,
    owner: string | undefined,
    ttl: number,
    inTurn: boolean,
    fenced: boolean
  ): Lease | null {
    const manner = (inTurn ? IN_TURN : 0) | (fenced ? FENCED : 0)
    const status = hot.acquire(this.#space, key, ttl, manner, owner)
    let lease: Lease | null = null
    if ((status & DONE) !== 0) {
      lease = new Lease(key, owner, numbers[ENDS_AT], numbers[SLOT], numbers[SERIAL])
      if (fenced) lease.fence(lease.serial)
      if (!this.#isSweeping) this.#sweepLater(lease.endsAt)
    }
    if (status > DONE) deliver(status)
    return lease
  }

  acquire(request: AcquireRequest): Lease | null | Promise<Waited> {
    const { keep, ttl } = request
    if (keep === null || ttl === 0) return this.#acquire(request)
    const { storeName } = request.acquirer[SCOPE]
    const keepIt = (lease: Lease) => this.#keep(lease, ttl, keep, storeName)
    const acquirer = new KeptAcquirer(request.acquirer, keepIt)
    const acquired = this.#acquire({ ...request, acquirer })
    if (acquired instanceof Lease) keepIt(acquired)
    return acquired
  }

  #acquire(request: AcquireRequest): Lease | null | Promise<Waited> {
    const { key, owner, ttl, retry, signal, fenced } = request
    if (!request.isTried) {
      const lease = this.tryNow(key, owner, ttl, retry.attempts > 1, fenced)
      if (lease !== null || retry.attempts === 1) return lease
    }

    let settle!: Settle
    const promise = new Promise<Waited>((resolve) => {
      settle = resolve
    })
    const wait =
      signal === undefined
        ? new Wait(request, settle, false)
        : new AbortableWait(
            request,
            signal,
            settle,
            (aborted) => this.#cancel(aborted),
            (unwanted) => this.#releaseUnwanted(unwanted),
            false
          )
    this.#wait(request, wait)
    return promise
  }

  release(lease: Lease): void {
    const status =
      lease.slot === BY_NAME
        ? native.releaseOwner(this.#space, lease.key, this.nameOf(lease))
        : hot.release(this.#space, lease.slot, lease.serial)
    // Bits beyond DONE tell that somebody waited.
    if (status > DONE || lease.slot === BY_NAME) this.#finish(status)
    if ((status & DONE) === 0) throw new E_LOCK_NOT_OWNED()
    // Somebody has restored the lock: if it is kept here, its holder hears of it.
    if (lease.slot === BY_NAME) this.#keeper?.suspect(lease.key)
  }

  extend(lease: Lease, ttl: number): void {
    this.#extend(lease, ttl)
    this.#keeper?.extendedByHand(lease, lease.endsAt)
  }

  #extend(lease: Lease, ttl: number): void {
    const status =
      lease.slot === BY_NAME
        ? native.extendOwner(this.#space, lease.key, this.nameOf(lease), ttl)
        : native.extendLease(this.#space, lease.slot, lease.serial, ttl)
    this.#extended(lease, status)
  }

  forceRelease(key: string): void {
    this.#finish(native.forceDelete(this.#space, key))
    this.#keeper?.suspect(key)
  }

  exists(key: string): boolean {
    return native.exists(this.#space, key)
  }

  nameOf(lease: Lease, name?: string): string {
    if (lease.owner === undefined) {
      lease.owner = name ?? newOwner()
      native.nameOwner(this.#space, lease.slot, lease.serial, lease.owner)
    }
    return lease.owner
  }

  close(scope: object): void {
    this.#finish(native.dismiss(this.#space, ticketsOf(scope)))
  }

  /** How many leases and waiters there are. */
  census(): { leases: number; waiters: number } {
    const [leases, waiters] = native.census(this.#space)
    return { leases, waiters }
  }

  stats(): StoreStats {
    return toStats(native.spaceFigures(this.#space))
  }

  /** A deadline has come. */
  tick(): void {
    this.#finish(native.tick(this.#space))
  }

  /**
   * Nobody can lose a lease in memory but by the end of the process, so only the leash counts: the lease is made to last for
   * as long as the event loop may be blocked. Half of it again goes by between two extensions.
   */
  #keep(
    lease: Lease,
    ttl: number,
    { max, stall }: ResolvedAutoExtend,
    storeName: string | undefined
  ): void {
    const span = Math.ceil(Math.max(ttl, Math.min(stall * 1.5, LONGEST_KEPT, max)))
    // The space knows, too: should this thread end, nobody has to wait for the end of the lease.
    const status = native.keepLease(this.#space, lease.slot, lease.serial, span)
    if ((status & DONE) === 0) {
      // Granted by another thread so long ago that it is over.
      this.#finish(status)
      LeaseLife.of(lease).lose('expired')
      return
    }
    this.#extended(lease, status)
    this.#keeper ??= new ScriptKeeper(this, (kept, millis) => this.#extend(kept, millis))
    // What this thread does to a lock is known at once; what another one has done shows when the lease is extended.
    const pause = this.#isShared ? Math.min(ttl, span) / 3 : undefined
    this.#keeper.keep(lease, { ttl: span, pause, max, tooLate: 'stalled' }, storeName)
  }

  /** Stands in line. */
  #wait({ key, owner, ttl, retry }: AcquireRequest, wait: Wait): void {
    const ticket = takeTicket(wait)
    const timeout = retry.timeout ?? -1
    let status: number
    try {
      status = native.wait(
        this.#space,
        key,
        owner,
        ttl,
        retry.attempts,
        retry.delay,
        timeout,
        ticket,
        wait.isFenced
      )
    } catch (error) {
      giveBackTicket(ticket)
      throw error
    }
    if ((status & WAITING) === 0) {
      // Freed since the attempt, by an expiry or by another thread.
      giveBackTicket(ticket)
      const [slot, serial, endsAt] = [numbers[SLOT], numbers[SERIAL], numbers[ENDS_AT]]
      // First, since whoever is granted may call again.
      this.#finish(status)
      if ((status & DONE) !== 0) wait.granted(slot, serial, endsAt)
      else wait.refused()
      return
    }
    if (wait instanceof AbortableWait) {
      wait.index = numbers[WAITER_INDEX]
      wait.serial = numbers[WAITER_SERIAL]
      wait.ticket = ticket
    }
    this.#finish(status)
  }

  #cancel({ index, serial, ticket }: AbortableWait): void {
    const status = native.cancel(this.#space, index, serial)
    // Otherwise its settlement is under way, and brings the ticket back.
    if ((status & DONE) !== 0) giveBackTicket(ticket)
    this.#finish(status)
  }

  #extended(lease: Lease, status: number): void {
    const endsAt = numbers[ENDS_AT]
    this.#finish(status)
    if ((status & DONE) === 0) throw new E_LOCK_NOT_OWNED()
    lease.extendTo(endsAt)
    this.#sweepLater(endsAt)
  }

  #finish(status: number): void {
    const deadline = numbers[DEADLINE]
    deliver(status)
    this.#timer.arm(deadline)
  }

  #releaseUnwanted(lease: Lease): void {
    try {
      this.release(lease)
    } catch {
      // It has expired meanwhile: there is nothing to release.
    }
  }

  /** Sees to it that the memory of leases that nobody releases is freed some time after they expire. */
  #sweepLater(endsAt: number): void {
    if (this.#isSweeping || endsAt === Number.POSITIVE_INFINITY) return
    this.#isSweeping = true
    const pause = Math.max(endsAt - native.now(), SWEEP_PAUSE)
    setTimeout(() => this.#sweep(), Math.min(pause, 60_000)).unref()
  }

  #sweep(): void {
    const next = native.sweep(this.#space)
    this.#isSweeping = false
    // What is due already didn't fit into this sweep: it comes next, but not in the same turn of the event loop.
    if (next <= native.now()) {
      this.#isSweeping = true
      setImmediate(() => this.#sweep()).unref()
    } else this.#sweepLater(next)
  }
}
