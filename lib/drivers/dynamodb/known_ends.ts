/** How many leases are kept at first before those that are over are dropped. */
const FEW = 1_000

/** Milliseconds for which the end of a lease is still of interest once it is over. */
const REMEMBERED = 60_000

/**
 * When the leases end that a store has made, in milliseconds since the Unix epoch: for releases of which nobody knows
 * whether they or the end of the lease came first.
 */
export class KnownEnds {
  readonly #ends = new Map<string, number>()
  #many = FEW

  note(key: string, owner: string, end: number | null): void {
    this.#ends.set(idOf(key, owner), end ?? Number.POSITIVE_INFINITY)
    if (this.#ends.size > this.#many) this.#dropOld()
  }

  forget(key: string, owner: string): void {
    this.#ends.delete(idOf(key, owner))
  }

  /** Whether the lease was over at that moment; `false` too if it isn't known here. */
  wasOver(key: string, owner: string, moment: number): boolean {
    const end = this.#ends.get(idOf(key, owner))
    return end !== undefined && end < moment
  }

  #dropOld(): void {
    const old = Date.now() - REMEMBERED
    for (const [id, end] of this.#ends) if (end < old) this.#ends.delete(id)
    this.#many = Math.max(FEW, this.#ends.size * 2)
  }
}

function idOf(key: string, owner: string): string {
  return `${owner.length} ${owner}${key}`
}
