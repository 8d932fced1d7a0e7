/**
 * Extensions of one lease that are under way at the same time. Which of them the store performs last, nobody knows, nor
 * whether it answers them in that order: so no more is believed than what any of them may have left.
 */
export class Crossings {
  readonly #underWay = new Map<string, Set<Crossing>>()

  /**
   * An extension is sent.
   *
   * @param owner - Whose lease it is
   * @param endsAt - When the lease ends if nothing crosses it
   * @returns To be called when it has ended, however it has: tells when the lease ends for sure
   */
  begin(owner: string, endsAt: number): () => number {
    const crossing: Crossing = { endsAt, sure: endsAt }
    let others = this.#underWay.get(owner)
    if (others === undefined) this.#underWay.set(owner, (others = new Set()))
    for (const other of others) {
      other.sure = Math.min(other.sure, endsAt)
      crossing.sure = Math.min(crossing.sure, other.endsAt)
    }
    others.add(crossing)
    return () => {
      others.delete(crossing)
      if (others.size === 0) this.#underWay.delete(owner)
      return crossing.sure
    }
  }
}

interface Crossing {
  readonly endsAt: number
  /** The least of its end and those of what it has crossed. */
  sure: number
}
