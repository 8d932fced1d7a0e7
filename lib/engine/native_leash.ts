import type { LossReason } from '../errors.js'
import { environment, lossListeners, native } from '../native.js'
import type { ResolvedAutoExtend } from '../types/main.js'
import { LeaseLife } from './lease_life.js'
import type { LeaseKeeper } from './lease_life.js'
import type { Lease } from './lease.js'

/** By the numbers of `src/engine/leash.rs`. */
const REASONS: readonly LossReason[] = [
  'expired',
  'expired',
  'not_owned',
  'unreachable',
  'max',
  'stalled',
]

/** How often the native side hears that the event loop turns, at most; milliseconds. */
const LONGEST_BEAT = 1000

/** The leashes that can stall, and the timer that tells that the event loop turns. */
let watched = 0
let beat = Number.POSITIVE_INFINITY
let timer: NodeJS.Timeout | undefined

/**
 * The leash of a lease that a native thread extends, whatever the event loop does.
 */
export class NativeLeash implements LeaseKeeper {
  readonly tells = true
  readonly number: number
  readonly #canStall: boolean
  readonly #onStop: () => void
  #lease: Lease | undefined
  #isStopped = false

  /**
   * @param onStop - Called once nothing is extended any longer
   */
  constructor({ max, stall }: ResolvedAutoExtend, onStop: () => void) {
    this.#onStop = onStop
    this.#canStall = stall !== Number.POSITIVE_INFINITY
    const pause = Math.max(Math.min(stall / 4, LONGEST_BEAT), 1)
    if (this.#canStall) startBeating(pause)
    // What is known of the event loop may be as old as one beat.
    this.number = native.newLeash(environment, max, stall + pause)
  }

  attach(lease: Lease): void {
    this.#lease = lease
    const life = LeaseLife.of(lease)
    life.keeper = this
    lossListeners.set(this.number, (reason) => life.lose(REASONS[reason] ?? 'expired'))
  }

  endsAt(): number {
    const known = this.#lease?.endsAt ?? 0
    if (this.#isStopped) return known
    // Zero: lost, of which nobody has been told yet.
    return native.leashEnd(environment, this.number) || Math.min(known, native.now())
  }

  stop(): void {
    if (this.#isStopped) return
    if (this.#lease !== undefined) this.#lease.endsAt = this.endsAt()
    this.#isStopped = true
    lossListeners.delete(this.number)
    native.dropLeash(environment, this.number)
    if (this.#canStall && --watched === 0) stopBeating()
    this.#onStop()
  }
}

function startBeating(pause: number): void {
  watched++
  if (pause >= beat) return
  stopBeating()
  beat = pause
  timer = setInterval(() => native.turn(environment), pause).unref()
}

function stopBeating(): void {
  clearInterval(timer)
  beat = Number.POSITIVE_INFINITY
}
