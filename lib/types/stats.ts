/**
 * Public types of `Verrou.stats` and `LockFactory.stats`.
 */

/**
 * How a span of time is distributed: milliseconds with fractions, to three significant digits and no finer than a
 * microsecond. What takes longer than 24 hours counts as 24 hours. All are 0 as long as `count` is.
 */
export interface DurationSummary {
  /** How many spans there are. */
  readonly count: number
  readonly min: number
  readonly max: number
  readonly mean: number
  /** Half of them are no longer; in the same way `p90`, `p99` and `p999` (999 of 1000). */
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
}

/**
 * A key that somebody waits for.
 */
export interface ContendedKey {
  readonly key: string
  /** How many acquires of this process wait for it. */
  readonly waiters: number
}

/**
 * What is known in this process of the locks of one store, since the store was made. Stores that share their locks (memory
 * stores with the same `shared` name) or their connection (stores on servers with equal settings) share their figures, in
 * whichever thread they are.
 */
export interface StoreStats {
  /**
   * From the call of an acquire to its grant: 0 in memory if the lock was free, elsewhere what the store takes to answer at
   * least. Waits that end without the lock don't count.
   */
  readonly wait: DurationSummary

  /**
   * From a grant to the end of the lease: its release, a forced release, or its expiry once that is noticed. Leases that
   * another process has acquired don't count.
   */
  readonly hold: DurationSummary

  /** The keys that are waited for most, the first most of all; at most 10. */
  readonly contended: readonly ContendedKey[]

  /** How many acquires wait, on any key, for a lock that they have found held. */
  readonly waiters: number

  /**
   * How many leases are held. In memory these are all that there are; elsewhere those that this process has acquired, as far
   * as it knows: one that somebody else has freed by force counts until its end.
   */
  readonly leases: number

  /**
   * How often a store's server was asked: pipelines sent to Redis, statements or transactions of a database, calls of a method
   * of a store that is written in JavaScript. None in memory.
   */
  readonly roundTrips: number

  /**
   * How many connections were made in place of lost ones. None in memory and of stores that are written in JavaScript, which
   * tell nothing of their connections.
   */
  readonly reconnects: number
}
