/**
 * What is published on the channels of `node:diagnostics_channel`.
 */
import type { E_LOCK_LOST, LossReason } from '../errors.js'

/** What all messages tell. One object goes with an operation from its start to its end. */
export interface LockMessage {
  readonly key: string
  /** The store's name in the config; without a config, `LockFactoryOptions.name` or the name of its class. */
  readonly store: string | undefined
  /** The identity of the acquisition, once there is one. Some stores make a name only when this is read. */
  readonly owner: string | undefined
  /** What went wrong, if something did. */
  error?: unknown
}

/**
 * Messages of `tracingChannel('loquet:acquire')`: from the call to its outcome.
 */
export interface AcquireMessage extends LockMessage {
  /** Milliseconds that the lease is to last; `null` for ever. */
  readonly ttl: number | null
  /** `failed`: it has rejected, with `error`. Unknown until the end. */
  outcome?: 'acquired' | 'refused' | 'failed'
  /** Milliseconds from the call to the outcome. */
  waited?: number
  /** How often the lock was tried for, where that is known: it was answered at once, or there was one chance only. */
  attempts?: number
}

/**
 * Messages of `tracingChannel('loquet:hold')`: from the grant to the release or the loss, which `error` tells of then.
 */
export interface HoldMessage extends LockMessage {
  /** As when it was acquired. */
  readonly ttl: number | null
  outcome?: 'released' | 'lost'
  /** Milliseconds from the grant to the end. */
  held?: number
}

/**
 * Messages of `tracingChannel('loquet:extend')`.
 */
export interface ExtendMessage extends LockMessage {
  /** Milliseconds that the lease is to last from now on. */
  readonly ttl: number
  /** Whether nobody has asked for it: see `LockAcquireOptions.autoExtend`. */
  readonly isAutomatic: boolean
  outcome?: 'extended' | 'failed'
}

/**
 * Messages of `tracingChannel('loquet:release')`.
 */
export interface ReleaseMessage extends LockMessage {
  outcome?: 'released' | 'failed'
}

/**
 * Messages of `channel('loquet:lost')`: a lock is held no longer, though nobody has released it.
 */
export interface LostMessage extends LockMessage {
  readonly reason: LossReason
  readonly error: E_LOCK_LOST
}
