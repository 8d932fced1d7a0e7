import { native } from '../native.js'
import { HeldList } from './held_list.js'
import { ListedLease } from './lease.js'
import type { Lease } from './lease.js'

/** So many leases are granted before those among them that are still held get a place in the table. */
const BATCH_SIZE = 256

/** No more often than this, in milliseconds, expired leases are looked for; the more seldom the more there are. */
const SWEEP_PAUSE = 250
const LEASES_PER_MILLISECOND = 100

/** No more seldom than this. */
const LONGEST_PAUSE = 60_000

/** So many leases are looked at in one turn of the event loop. */
const STRIDE = 10_000

/** A list with fewer leases isn't searched for those that nobody holds. */
const SEARCHED_ABOVE = 1_000

/** Leases that were granted lately: a chain whose links are in the leases, youngest first. */
class Batch {
  youngest: Lease | undefined = undefined
  size = 0
}

/**
 * The leases that the locks of one factory hold. Most are released soon after they are granted, so a grant only joins a chain and
 * a release does nothing; what is still held when the chain is full goes into a table. Those that expire without being released
 * are dropped some time later.
 *
 * A chain begins in an object that is hardly older than its leases: a link from an old object to a young one is what a generational
 * garbage collector makes a note of, and costs more than all the rest. For a store that takes its time it is nothing beside the rest:
 * its leases are in a list, which they leave at once.
 */
export class Holdings {
  #batch = new Batch()
  /** By key, oldest first: a store has one holder for a key, so an earlier lease of the same key is over. */
  readonly #settled = new Map<string, Lease>()
  /**
   * Those under which a `run` works, of stores that take their time: there each acquire has to wait, and asks. Where only the
   * one that finds the lock held has to, the chain is looked through then.
   */
  readonly running = new Map<string, Lease>()
  readonly #listed = new HeldList()
  #searchedAbove = SEARCHED_ABOVE
  #isSweepDue = false

  /** A lease was granted. */
  add(lease: Lease): void {
    if (lease instanceof ListedLease) {
      this.#list(lease)
      return
    }
    const batch = this.#batch
    lease.older = batch.youngest
    batch.youngest = lease
    if (++batch.size === BATCH_SIZE) this.#settle()
  }

  /** A lease in the table is held no longer. */
  drop(lease: Lease): void {
    if (this.#settled.get(lease.key) === lease) this.#settled.delete(lease.key)
  }

  /** Those that are held now, oldest first, and some that are not any longer. */
  *[Symbol.iterator](): Generator<Lease, void, void> {
    this.#settle()
    yield* this.#known()
  }

  *#known(): Generator<Lease, void, void> {
    yield* this.#settled.values()
    yield* this.#listed
  }

  /** The youngest of those that were granted for a key, unless it is known to be over. */
  find(key: string): Lease | undefined {
    for (let lease = this.#batch.youngest; lease !== undefined; lease = lease.older) {
      if (lease.key === key) return lease.released ? undefined : lease
    }
    return this.#settled.get(key)
  }

  #list(lease: ListedLease): void {
    this.#listed.add(lease)
    if (this.#listed.size > this.#searchedAbove) {
      this.#dropReplaced()
      this.#searchedAbove = Math.max(this.#listed.size * 2, SEARCHED_ABOVE)
    }
    if (!this.#isSweepDue) this.#sweepLater(endOf(lease))
  }

  /** A lease without end that somebody else has freed never expires: it is over if there is another one of its key. */
  #dropReplaced(): void {
    const youngest = new Map<string, Lease>()
    for (const lease of this.#listed) {
      if (lease.endsAt !== Number.POSITIVE_INFINITY) continue
      youngest.get(lease.key)?.leave()
      youngest.set(lease.key, lease)
    }
  }

  /** Moves what is still held from the chain to the table. */
  #settle(): void {
    const held: Lease[] = []
    const now = native.now()
    for (let lease = this.#batch.youngest; lease !== undefined;) {
      const { older } = lease
      lease.older = undefined
      if (!isOver(lease, now)) held.push(lease)
      lease = older
    }
    this.#batch = new Batch()
    let earliest = Number.POSITIVE_INFINITY
    for (const lease of held.reverse()) {
      this.#settled.delete(lease.key)
      this.#settled.set(lease.key, lease)
      lease.enter(this)
      earliest = Math.min(earliest, endOf(lease))
    }
    if (!this.#isSweepDue) this.#sweepLater(earliest)
  }

  #sweepLater(endsAt: number, seen = 0): void {
    if (endsAt === Number.POSITIVE_INFINITY) return
    this.#isSweepDue = true
    const least = Math.max(SWEEP_PAUSE, seen / LEASES_PER_MILLISECOND)
    const pause = Math.min(Math.max(endsAt - native.now(), least), LONGEST_PAUSE)
    // Through a weak reference: a timer must not keep what nobody refers to any longer.
    const self = new WeakRef(this)
    setTimeout(() => self.deref()?.sweep(), pause).unref()
  }

  /**
   * Drops what has expired. What is extended by itself is left to whoever extends it.
   *
   * @internal
   * @param rest - What the last turn of the event loop has left over
   * @param seenBefore - How many of those that were looked at before are held
   * @param endBefore - When the first of them ends
   */
  sweep(
    rest: Iterator<Lease> = this.#known(),
    seenBefore = 0,
    endBefore = Number.POSITIVE_INFINITY
  ): void {
    const now = native.now()
    let [live, earliest] = [seenBefore, endBefore]
    for (let seen = 0; seen < STRIDE; seen++) {
      // Goes on where it was, whatever has been added and dropped since.
      const { value: lease, done } = rest.next()
      if (done === true) {
        this.#isSweepDue = false
        if (live > 0) this.#sweepLater(Math.min(earliest, now + LONGEST_PAUSE), live)
        return
      }
      if (isOver(lease, now)) lease.leave()
      else {
        if (lease.life?.keeper === undefined) live++
        earliest = Math.min(earliest, endOf(lease))
      }
    }
    const self = new WeakRef(this)
    setImmediate(() => self.deref()?.sweep(rest, live, earliest)).unref()
  }
}

/** Whether nobody needs to know of a lease any longer. One that is extended by itself is left to whoever extends it. */
function isOver({ released, life, endsAt }: Lease, now: number): boolean {
  if (released || life?.loss !== undefined) return true
  return life?.keeper === undefined && endsAt <= now
}

/** When a lease has to be looked at. */
function endOf({ life, endsAt }: Lease): number {
  return life?.keeper === undefined ? endsAt : Number.POSITIVE_INFINITY
}
