/** How many leases are kept at first before those that are over are dropped. */
const FEW = 1_000

/** Milliseconds for which the end of a lease is still of interest once it is over. */
const REMEMBERED = 60_000

/** What is known of a lease. */
interface Known {
  /** In milliseconds since the Unix epoch. */
  end: number
  isFenced: boolean
}

/**
 * When the leases end that a store has made: for releases of which nobody knows whether they or the end of the lease came
 * first. And whether they are fenced, which decides how they are released.
 */
export class KnownEnds {
  readonly #ends = new Map<string, Known>()
  #many = FEW

  note(key: string, owner: string, end: number | null, isFenced: boolean): void {
    this.#ends.set(idOf(key, owner), { end: end ?? Number.POSITIVE_INFINITY, isFenced })
    if (this.#ends.size > this.#many) this.#dropOld()
  }

  forget(key: string, owner: string): void {
    this.#ends.delete(idOf(key, owner))
  }

  /** Whether the lease was over at that moment; `false` too if it isn't known here. */
  wasOver(key: string, owner: string, moment: number): boolean {
    const known = this.#ends.get(idOf(key, owner))
    return known !== undefined && known.end < moment
  }

  /** Whether the lease bears a fencing token; `false` too if it isn't known here. */
  isFenced(key: string, owner: string): boolean {
    return this.#ends.get(idOf(key, owner))?.isFenced ?? false
  }

  #dropOld(): void {
    const old = Date.now() - REMEMBERED
    for (const [id, { end }] of this.#ends) if (end < old) this.#ends.delete(id)
    this.#many = Math.max(FEW, this.#ends.size * 2)
  }
}

function idOf(key: string, owner: string): string {
  return `${owner.length} ${owner}${key}`
}
