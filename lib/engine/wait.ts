import { E_LOCK_CLOSED } from '../errors.js'
import { offAbort, onAbort } from './abort.js'
import { SCOPE, SETTLED, Lease, ListedLease } from './lease.js'
import type { AcquireRequest, Acquirer, Waited } from './lease.js'
import type { Ticketed } from '../native.js'

/** Resolves an acquire's promise; resolving with a rejected promise rejects it. */
export type Settle = (value: Waited | Promise<never>) => void

const IS_FIRST = 1
const WANTS_LEASE = 2
const IS_FENCED = 4
const IS_LISTED = 8
const IS_DISMISSED = 16

/**
 * An acquire that waits. Kept small, for there may be a million of them: it has no `reject`, since resolving with a
 * rejected promise does the same, and it holds what it needs of the request instead of the request.
 *
 * It only ever settles a promise. Running a callback from here would run it in the async context of whoever released.
 */
export class Wait implements Ticketed {
  readonly #acquirer: Acquirer
  readonly #key: string
  readonly #owner: string | undefined
  /** As many booleans would be as many words. */
  #flags: number
  readonly #settle: Settle

  /**
   * @param isSlow - Whether every answer of the store takes a while, see `isSlow`
   */
  constructor(request: AcquireRequest, settle: Settle, isSlow = true) {
    this.#acquirer = request.acquirer
    this.#key = request.key
    this.#owner = request.owner
    this.#flags =
      (request.isFirst ? IS_FIRST : 0) |
      (request.wantsLease ? WANTS_LEASE : 0) |
      (request.fenced ? IS_FENCED : 0) |
      (isSlow ? IS_LISTED : 0)
    this.#settle = settle
  }

  get scope(): object {
    return this.#acquirer[SCOPE]
  }

  /** The owner that it waits for, if it has a name yet. */
  get owner(): string | undefined {
    return this.#owner
  }

  get key(): string {
    return this.#key
  }

  /** Whether the lease is to bear a fencing token. */
  get isFenced(): boolean {
    return (this.#flags & IS_FENCED) !== 0
  }

  /** It has ended, or is being ended. Tells whether that is news. */
  dismiss(): boolean {
    const isNews = (this.#flags & IS_DISMISSED) === 0
    this.#flags |= IS_DISMISSED
    return isNews
  }

  granted(slot: number, serial: number, endsAt: number): void {
    const lease = this.lease(slot, serial, endsAt)
    if (this.isFenced) lease.fence(serial)
    if (!this.#acquirer[SETTLED](lease, (this.#flags & IS_FIRST) !== 0)) {
      this.#settle(Promise.reject(new E_LOCK_CLOSED()))
    } else this.#settle((this.#flags & WANTS_LEASE) !== 0 ? lease : true)
  }

  protected lease(slot: number, serial: number, endsAt: number): Lease {
    const Kind = (this.#flags & IS_LISTED) === 0 ? Lease : ListedLease
    return new Kind(this.#key, this.#owner, endsAt, slot, serial)
  }

  refused(isTainted = false): void {
    this.#acquirer[SETTLED](null, (this.#flags & IS_FIRST) !== 0, isTainted)
    this.#settle((this.#flags & WANTS_LEASE) !== 0 ? null : false)
  }

  /** The abort has been told already; that the owner must not be used again is known only now. */
  protected taint(): void {
    this.#acquirer[SETTLED](null, false, true)
  }

  closed(): void {
    this.failed(new E_LOCK_CLOSED())
  }

  failed(reason: unknown, isTainted = false): void {
    this.#acquirer[SETTLED](null, (this.#flags & IS_FIRST) !== 0, isTainted)
    this.#settle(Promise.reject(reason))
  }
}

/**
 * A wait that an AbortSignal can end.
 */
export class AbortableWait extends Wait {
  /** Where it stands natively, and its ticket; for `cancel`. */
  index = 0
  serial = 0
  ticket = 0

  readonly #signal: AbortSignal
  readonly #onAbort: () => void
  readonly #onUnwanted: (lease: Lease) => void
  #isAborted = false

  /**
   * @param cancel - Takes the waiter out of the queue. If it has been settled by another thread in the same moment, the
   * settlement still arrives.
   * @param onUnwanted - Frees a lease that arrives after the abort
   */
  constructor(
    request: AcquireRequest,
    signal: AbortSignal,
    settle: Settle,
    cancel: (wait: AbortableWait) => void,
    onUnwanted: (lease: Lease) => void = () => {},
    isSlow = true
  ) {
    super(request, settle, isSlow)
    this.#signal = signal
    this.#onUnwanted = onUnwanted
    this.#onAbort = () => {
      this.#isAborted = true
      cancel(this)
      super.failed(signal.reason)
    }
    onAbort(signal, this.#onAbort)
  }

  override granted(slot: number, serial: number, endsAt: number): void {
    if (this.#isAborted) this.#onUnwanted(this.lease(slot, serial, endsAt))
    else {
      this.#forget()
      super.granted(slot, serial, endsAt)
    }
  }

  override refused(isTainted?: boolean): void {
    if (this.#isAborted) {
      if (isTainted) this.taint()
      return
    }
    this.#forget()
    super.refused(isTainted)
  }

  override failed(reason: unknown, isTainted?: boolean): void {
    if (this.#isAborted) return
    this.#forget()
    super.failed(reason, isTainted)
  }

  #forget(): void {
    offAbort(this.#signal, this.#onAbort)
  }
}
