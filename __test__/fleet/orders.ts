/**
 * What a fleet tells its members, and what they answer.
 */
import type { LockStore } from 'loquet/types'

import type { KnexConfig } from '../database/topologies.js'

/** How a member reaches the server. */
export interface Way {
  /** The module that opens stores in this way, below `__test__`. It exports `openStore`. */
  opener: string
  /** What its `openStore` takes; for JSON. */
  settings: unknown
}

/** What such a module has. Each store may be opened once in a process. */
export interface Opener {
  /** A store for `peer`, and what has to be done so that it doesn't keep the process alive. */
  openStore(
    peer: Peer,
    settings: never
  ): Promise<{ store: LockStore; close?: () => void | Promise<void> }>
}

export type Peer = 'loquet' | 'verrou'

/** What a member does while it holds a lock. */
export type Work =
  /** Nothing, for some milliseconds. */
  | { kind: 'hold'; millis: readonly [from: number, to: number] }
  /** Adds one to the key's counter by reading and writing it, with a pause in between. */
  | { kind: 'count' }
  /** As `count`, and lets some member with the work `release` release the lock. */
  | { kind: 'count-and-hand'; to: string }
  /** Holds nothing: releases what others hand to it. */
  | { kind: 'release' }
  /**
   * Writes under a fenced lock, in time or too late, and frees locks of others by force. Into a table of a database, or
   * else into the storage of the fleet.
   */
  | { kind: 'write'; table?: KnexConfig }

export interface MemberOrder {
  /** Names its process in the history. */
  name: string
  /** A process unless it says otherwise. */
  body?: 'process' | 'thread'
  peer: Peer
  /** How it reaches the server: what the module that opens its store takes. */
  way: Way
  /** The folder where the counters are and the members meet. */
  meetingPoint: string
  /** The folder of the history. */
  history: string
  /** The keys as they are in the server. */
  keys: string[]
  /** A prefix that `way` adds: its locks are created without it. */
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

/** What a member is told: to begin, to end, and whether the fleet's storage has accepted what it wrote. */
export type ToMember = 'go' | 'stop' | { kind: 'answer'; call: number; isAccepted: boolean }

/**
 * What a member says: that it is there, how many locks it has been granted so far, what it writes to the fleet's storage,
 * that it has done its work.
 */
export type FromMember =
  | { kind: 'ready' }
  | { kind: 'granted'; total: number }
  | { kind: 'write'; call: number; key: string; token: string }
  | { kind: 'done'; total: number; skipped: number }
