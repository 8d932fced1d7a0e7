/**
 * What a fleet tells its members, and what they answer.
 */
import type { ClusterNode, RedisOptions } from 'ioredis'
import type { RedisStoreOptions } from 'loquet/types'

/** How a member reaches the server. Verrou always does by an ioredis instance. */
export type Way =
  /** loquet's own options. */
  | { kind: 'options'; options: RedisStoreOptions }
  /** An ioredis instance. */
  | { kind: 'instance'; options: RedisOptions }
  /** An ioredis cluster. */
  | { kind: 'cluster'; nodes: ClusterNode[] }

/** What a member does while it holds a lock. */
export type Work =
  /** Nothing, for some milliseconds. */
  | { kind: 'hold'; millis: readonly [from: number, to: number] }
  /** Adds one to `counter:<key>` by reading and writing it, with a pause in between. */
  | { kind: 'count' }
  /** As `count`, and lets some member with the work `release` release the lock, by `handed:<to>`. */
  | { kind: 'count-and-hand'; to: string }
  /** Holds nothing: releases what others hand to it. */
  | { kind: 'release' }

export interface MemberOrder {
  /** Names its process in the history. */
  name: string
  peer: 'loquet' | 'verrou'
  way: Way
  /** Where the counters are and the members meet, without any proxy in between. */
  meetingPoint: RedisOptions
  /** The folder of the history. */
  history: string
  /** The keys as they are in the server. */
  keys: string[]
  /** The `keyPrefix` that `way` has: its locks are created without it. */
  keyPrefix?: string
  /** Milliseconds; `null` for ever. */
  ttl: number | null
  /** Milliseconds between two polls. */
  delay: number
  /** How many tasks there are, each with a lock at a time. */
  tasks: number
  /** How many locks each task acquires; for ever without it. */
  rounds?: number
  work: Work
  seed: number
}

export type ToMember = 'go' | 'stop'

/** What a member says: that it is there, how many locks it has been granted so far, that it has done its work. */
export type FromMember =
  | { kind: 'ready' }
  | { kind: 'granted'; total: number }
  | { kind: 'done'; total: number; skipped: number }
