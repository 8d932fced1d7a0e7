import { E_LOCK_NOT_OWNED } from '../errors.js'
import { decodeKey } from '../key.js'
import { Crossings } from './crossings.js'
import { DeadlineTimer } from './deadline_timer.js'
import { Fences } from './fences.js'
import { BY_NAME, SCOPE, type Lease } from './lease.js'
import type { AcquireRequest, LockEngine, Waited } from './lease.js'
import { KeptAcquirer } from './lease_life.js'
import { isNotOwned } from './not_owned.js'
import { ScriptKeeper } from './script_keeper.js'
import { AbortableWait, Wait } from './wait.js'
import { isOutOfTime } from './out_of_time.js'
import { environment, giveBackTicket, native, takeTicket, ticketsOf } from '../native.js'
import { newOwner } from '../owner.js'
import type { ShellEffect, ShellStep } from '#binding'
import type { Ticketed } from '../native.js'
import { toStats } from './stats.js'
import type { LockStore, StoreStats } from '../types/main.js'

/** Frees a native engine when its store is garbage. */
const abandoned = new FinalizationRegistry((shell: number) => native.dropShell(shell))

/** What the store threw; only there to be passed on, whatever it is. */
interface Thrown {
  reason: unknown
}

/** A release that waits for the store, or somebody who waits until nothing is left behind. */
class PendingRelease implements Ticketed {
  isLoose = false

  constructor(
    readonly releases: Lease | StoreEngine,
    readonly released: () => void,
    readonly failed: (reason: unknown) => void
  ) {}

  granted(): void {}
  refused(): void {}
  closed(): void {}
}

/**
 * The engine of a store that is written in JavaScript. The queue, the deadlines and the decisions are native; the store
 * is called from here, on the JavaScript thread, so its errors reach the caller as they are. With a store whose methods
 * are synchronous everything but waiting is synchronous too.
 */
export class StoreEngine implements LockEngine {
  readonly namesOwners = true
  readonly #store: LockStore
  readonly #shell: number
  readonly #timer: DeadlineTimer
  #keeper: ScriptKeeper | undefined
  /** How often the store was called. */
  #calls = 0
  readonly #fences = new Fences()
  readonly #crossings = new Crossings()

  constructor(store: LockStore) {
    this.#store = store
    this.#shell = native.createShell(environment)
    const self = new WeakRef(this)
    this.#timer = new DeadlineTimer(() => self.deref()?.tick())
    abandoned.register(this, this.#shell)
  }

  acquire(request: AcquireRequest): Promise<Waited> {
    const { keep, ttl } = request
    if (keep === null) return this.#acquire(request)
    const acquirer = new KeptAcquirer(request.acquirer, (lease) => {
      this.#keeper ??= new ScriptKeeper(this, (kept, millis) => this.#extend(kept, millis))
      const keeping = { ttl, max: keep.max, tooLate: 'expired' } as const
      this.#keeper.keep(lease, keeping, request.acquirer[SCOPE].storeName)
    })
    return this.#acquire({ ...request, acquirer })
  }

  #acquire(request: AcquireRequest): Promise<Waited> {
    return new Promise<Waited>((resolve) => {
      request.owner ??= newOwner()
      const { key, owner, ttl, retry, signal } = request
      const wait =
        signal === undefined
          ? new Wait(request, resolve)
          : new AbortableWait(request, signal, resolve, (aborted) => this.#cancel(aborted))
      const ticket = takeTicket(wait)
      if (wait.isFenced) this.#fences.begin(key, owner)
      let step: ShellStep
      try {
        step = native.shellAcquire(
          this.#shell,
          key,
          owner,
          ttl,
          retry.attempts,
          retry.delay,
          retry.timeout ?? -1,
          ticket
        )
      } catch (error) {
        giveBackTicket(ticket)
        this.#fences.end(wait)
        throw error
      }
      if (wait instanceof AbortableWait) {
        const [index, serial] = step.waiter ?? []
        Object.assign(wait, { index, serial, ticket })
      }
      this.#perform(step)
    })
  }

  release(lease: Lease): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const released = () => {
        this.#keeper?.released(lease)
        resolve()
      }
      const ticket = takeTicket(new PendingRelease(lease, released, reject))
      this.#perform(native.shellRelease(this.#shell, lease.key, this.nameOf(lease), ticket))
    })
  }

  extend(lease: Lease, ttl: number): void | Promise<void> {
    const wanted = native.now() + ttl
    const note = () => this.#keeper?.extendedByHand(lease, wanted)
    const fail = (reason: unknown) => {
      if (!isNotOwned(reason)) this.#keeper?.failedByHand(lease)
      throw reason
    }
    try {
      const extended = this.#extend(lease, ttl)
      return extended === undefined ? note() : extended.then(note, fail)
    } catch (reason) {
      return fail(reason)
    }
  }

  #extend(lease: Lease, ttl: number): void | Promise<void> {
    this.#calls++
    const owner = this.nameOf(lease)
    const end = this.#crossings.begin(owner, native.now() + ttl)
    const note = () => {
      lease.extendTo(end())
      this.#perform(native.shellExtended(this.#shell, lease.key, owner, lease.endsAt))
    }
    const fail = (reason: unknown) => {
      end()
      throw reason
    }
    let extended: void | Promise<void>
    try {
      extended = this.#store.extend(decodeKey(lease.key), owner, ttl)
    } catch (reason) {
      return fail(reason)
    }
    return isPromise(extended) ? extended.then(note, fail) : note()
  }

  forceRelease(key: string): void | Promise<void> {
    this.#calls++
    const deleted = this.#store.forceDelete(decodeKey(key))
    const note = () => {
      this.#perform(native.shellWoken(this.#shell, key))
      this.#keeper?.suspect(key)
    }
    return isPromise(deleted) ? deleted.then(note) : note()
  }

  exists(key: string): boolean | Promise<boolean> {
    this.#calls++
    return this.#store.exists(decodeKey(key))
  }

  nameOf(lease: Lease, name?: string): string {
    return (lease.owner ??= name ?? newOwner())
  }

  close(scope: object): void {
    this.#perform(native.shellDismiss(this.#shell, ticketsOf(scope)))
  }

  cleanUp(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const ticket = takeTicket(new PendingRelease(this, resolve, reject))
      this.#perform(native.shellCleanUp(this.#shell, ticket))
    })
  }

  /** Each call of the store counts as a round trip; of its connections nothing is known. */
  stats(): StoreStats {
    return { ...toStats(native.shellFigures(this.#shell)), roundTrips: this.#calls }
  }

  /** A deadline has come. */
  tick(): void {
    this.#perform(native.shellTick(this.#shell))
  }

  /**
   * Does what the engine wants done.
   *
   * @param thrown - What the store threw, if that is what the engine reacts to
   */
  #perform(step: ShellStep, thrown?: Thrown): void {
    // Before the effects: each of them may lead to a later step with a newer deadline.
    this.#timer.arm(step.deadline)
    for (const effect of step.effects) this.#performOne(effect, thrown)
  }

  #performOne(effect: ShellEffect, thrown: Thrown | undefined): void {
    const { kind, id, owner = '' } = effect
    const key = decodeKey(effect.key ?? '')
    if (kind === 'settle') {
      this.#settle(giveBackTicket(id), effect, thrown)
    } else if (kind === 'save') {
      const isFenced = this.#fences.has(effect.key!, owner)
      this.#ask(
        () =>
          isFenced
            ? this.#saveFenced(effect.key!, owner, effect.ttl || null)
            : this.#store.save(key, owner, effect.ttl || null),
        (saved) => native.shellSaved(this.#shell, id, Boolean(saved)),
        (reason) => native.shellSaved(this.#shell, id, undefined, isOutOfTime(reason))
      )
    } else {
      this.#ask(
        () => this.#store.delete(key, owner),
        () => native.shellDeleted(this.#shell, id, true),
        () => native.shellDeleted(this.#shell, id, false)
      )
    }
  }

  /** Calls the store and reports the answer, at once if the store answers at once. */
  #ask<T>(
    call: () => T | Promise<T>,
    onAnswer: (answer: T) => ShellStep,
    onThrown: (reason: unknown) => ShellStep
  ): void {
    let answer: T | Promise<T>
    this.#calls++
    try {
      answer = call()
    } catch (reason) {
      this.#perform(onThrown(reason), { reason })
      return
    }
    if (isPromise(answer)) {
      answer.then(
        (value) => this.#perform(onAnswer(value)),
        (reason: unknown) => this.#perform(onThrown(reason), { reason })
      )
    } else this.#perform(onAnswer(answer))
  }

  #saveFenced(encoded: string, owner: string, ttl: number | null): boolean | Promise<boolean> {
    const [key, store] = [decodeKey(encoded), this.#store]
    const take = (answer: bigint | false) => this.#fences.answered(encoded, owner, answer, store)
    const answer = store.saveFenced!(key, owner, ttl)
    return isPromise(answer) ? answer.then(take) : take(answer)
  }

  #settle(holder: Ticketed | undefined, effect: ShellEffect, thrown: Thrown | undefined): void {
    if (holder instanceof PendingRelease) {
      if (effect.outcome === 'released') holder.released()
      else holder.failed(thrown === undefined ? new E_LOCK_NOT_OWNED() : thrown.reason)
    } else if (holder instanceof Wait) {
      const token = this.#fences.end(holder)
      if (effect.outcome === 'acquired') {
        holder.granted(BY_NAME, token ?? 0, effect.endsAt ?? Infinity)
      } else if (effect.outcome === 'closed') holder.closed()
      else if (effect.outcome === 'failed') holder.failed(thrown?.reason)
      else holder.refused()
    }
  }

  #cancel(wait: AbortableWait): void {
    giveBackTicket(wait.ticket)
    this.#fences.end(wait)
    this.#perform(native.shellCancel(this.#shell, wait.index, wait.serial))
  }
}

function isPromise<T>(value: T | PromiseLike<T>): value is Promise<T> {
  return typeof (value as PromiseLike<T> | undefined)?.then === 'function'
}
