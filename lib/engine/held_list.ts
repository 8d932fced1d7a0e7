import type { ListedLease, Table } from './lease.js'

/**
 * Leases that are held, oldest first. To join and to leave costs a few references.
 */
export class HeldList implements Table {
  #oldest: ListedLease | undefined = undefined
  #youngest: ListedLease | undefined = undefined
  #size = 0
  /** The next ones of those who go through the list. */
  readonly #cursors = new Set<{ next: ListedLease | undefined }>()

  /** How many there are. */
  get size(): number {
    return this.#size
  }

  /** A lease was granted. */
  add(lease: ListedLease): void {
    lease.enter(this)
    lease.previous = this.#youngest
    if (this.#youngest === undefined) this.#oldest = lease
    else this.#youngest.next = lease
    this.#youngest = lease
    this.#size++
  }

  /** A lease is held no longer. */
  drop(lease: ListedLease): void {
    const { previous, next } = lease
    if (previous === undefined) this.#oldest = next
    else previous.next = next
    if (next === undefined) this.#youngest = previous
    else next.previous = previous
    lease.previous = undefined
    lease.next = undefined
    this.#size--
    for (const cursor of this.#cursors) if (cursor.next === lease) cursor.next = next
  }

  /** Goes on where it was, whatever has been added and dropped since. */
  *[Symbol.iterator](): Generator<ListedLease, void, void> {
    const cursor = { next: this.#oldest }
    this.#cursors.add(cursor)
    try {
      while (cursor.next !== undefined) {
        const lease: ListedLease = cursor.next
        cursor.next = lease.next
        yield lease
      }
    } finally {
      this.#cursors.delete(cursor)
    }
  }
}
