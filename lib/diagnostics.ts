/**
 * The channels of `node:diagnostics_channel`. Without a subscriber they cost a look at whether there is one.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel'

import { ENDLESS } from './duration.js'
import type { Lease, LockEngine, Waited } from './engine/lease.js'
import { LeaseLife } from './engine/lease_life.js'
import type { LeaseObserver } from './engine/lease_life.js'
import type { E_LOCK_LOST } from './errors.js'
import { decodeKey } from './key.js'
import { native } from './native.js'
import { channelsOf, onFirstSubscriber } from './subscribers.js'
import type {
  AcquireMessage,
  ExtendMessage,
  HoldMessage,
  LockMessage,
  LostMessage,
  ReleaseMessage,
} from './types/diagnostics.js'

/** Who names owners. */
type Names = Pick<LockEngine, 'nameOf'>

const acquires = tracingChannel<unknown, AcquireMessage>('loquet:acquire')
const holds = tracingChannel<unknown, HoldMessage>('loquet:hold')
const losses = channel('loquet:lost')

const extensions = tracingChannel<unknown, ExtendMessage>('loquet:extend')
const releases = tracingChannel<unknown, ReleaseMessage>('loquet:release')

/** Whether any of the channels has ever had a subscriber: one look instead of one for each of the twenty-one. */
let haveBeenObserved = false
onFirstSubscriber(
  [acquires, holds, extensions, releases].flatMap(channelsOf).concat(losses),
  () => {
    haveBeenObserved = true
  }
)

/** Asked before each acquire: whether somebody wants to hear of it, or of the lease that comes of it. */
export function isAcquireObserved(): boolean {
  return haveBeenObserved && (acquires.hasSubscribers || isHoldObserved())
}

/** Asked before each release. */
export function isReleaseObserved(): boolean {
  return haveBeenObserved && releases.hasSubscribers
}

/** Asked before each extension. */
export function isExtendObserved(): boolean {
  return haveBeenObserved && extensions.hasSubscribers
}

function isHoldObserved(): boolean {
  return holds.hasSubscribers || losses.hasSubscribers
}

/**
 * Begins to acquire, and tells of it. What comes of it is always the lease, or `null`.
 *
 * @param chances - How often the lock may be tried for, if that is known
 */
export function observeAcquire(
  { engine, key, ttl, store }: Acquisition,
  chances: number | undefined,
  begin: () => Lease | null | Promise<Waited>
): Lease | null | Promise<Lease | null> {
  const startedAt = native.now()
  const message = new Message(engine, key, store) as Message & Writable<AcquireMessage>
  message.ttl = ttl === ENDLESS ? null : ttl
  if (chances === 1) message.attempts = 1
  let isAnswered = true
  const answer = trace(
    acquires,
    message,
    () => {
      const started = begin()
      isAnswered = !(started instanceof Promise)
      return started as Lease | null | Promise<Lease | null>
    },
    (lease) => {
      message.waited = native.now() - startedAt
      if (isAnswered) message.attempts = 1
      if (lease === undefined) message.outcome = 'failed'
      else message.outcome = lease === null ? 'refused' : 'acquired'
      if (lease) message.lease = lease
    }
  )
  if (!(answer instanceof Promise)) return observeHold(answer, message)
  return answer.then((lease) => observeHold(lease, message))
}

/**
 * Extends, and tells of it.
 */
export function observeExtend(
  engine: Names,
  store: string | undefined,
  lease: Lease,
  { ttl, isAutomatic }: Pick<ExtendMessage, 'ttl' | 'isAutomatic'>,
  extend: () => void | Promise<void>
): void | Promise<void> {
  const message = new Message(engine, lease.key, store, lease) as Message & Writable<ExtendMessage>
  message.ttl = ttl
  message.isAutomatic = isAutomatic
  return trace(extensions, message, extend, () => {
    message.outcome = message.error === undefined ? 'extended' : 'failed'
  })
}

/**
 * Releases, and tells of it.
 */
export function observeRelease(
  engine: Names,
  store: string | undefined,
  lease: Lease,
  release: () => void | Promise<void>
): void | Promise<void> {
  const message = new Message(engine, lease.key, store, lease) as Message & ReleaseMessage
  return trace(releases, message, release, () => {
    message.outcome = message.error === undefined ? 'released' : 'failed'
  })
}

/** What is going to be acquired. */
export interface Acquisition {
  engine: Names
  /** Encoded, see `encodeKey`. */
  key: string
  /** Milliseconds; `ENDLESS` for ever. */
  ttl: number
  store: string | undefined
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type Tracing<M extends object> = ReturnType<typeof tracingChannel<unknown, M>>

/** What is known of an operation; each kind adds its own. */
class Message implements LockMessage {
  readonly key: string
  readonly store: string | undefined
  declare error?: unknown
  readonly #engine: Names
  #lease: Lease | undefined

  constructor(engine: Names, key: string, store: string | undefined, lease?: Lease) {
    this.key = decodeKey(key)
    this.store = store
    this.#engine = engine
    this.#lease = lease
  }

  get owner(): string | undefined {
    return this.#lease && this.#engine.nameOf(this.#lease)
  }

  set lease(lease: Lease) {
    this.#lease = lease
  }

  /** About the same, for another channel. */
  next(lease: Lease): Message {
    const message = new Message(this.#engine, lease.key, this.store, lease)
    return message
  }
}

/**
 * Publishes one operation as `TracingChannel.tracePromise` does, but what is answered at once stays so.
 *
 * @param settle - Completes the message; called with nothing if the operation has failed, with `error` set
 */
function trace<M extends LockMessage, T>(
  tracing: Tracing<M>,
  message: M,
  call: () => T | Promise<T>,
  settle: (value?: T) => void
): T | Promise<T> {
  const finish = (value?: T) => {
    settle(value)
    if (message.error !== undefined) tracing.error.publish(message)
    tracing.asyncStart.publish(message)
    tracing.asyncEnd.publish(message)
  }
  const fail = (error: unknown): never => {
    message.error = error
    finish()
    throw error
  }
  return tracing.start.runStores(message, () => {
    let answer: T | Promise<T>
    try {
      answer = call()
    } catch (error) {
      tracing.end.publish(message)
      return fail(error)
    }
    tracing.end.publish(message)
    if (!(answer instanceof Promise)) {
      finish(answer)
      return answer
    }
    return answer.then((value) => {
      finish(value)
      return value
    }, fail)
  })
}

/** Tells of a lease from its grant to its end. In the async context of whoever acquires, not of whoever has released. */
function observeHold(
  lease: Lease | null,
  acquired: Message & { readonly ttl: number | null }
): Lease | null {
  if (lease === null || !isHoldObserved()) return lease
  const grantedAt = native.now()
  const message = acquired.next(lease) as Message & Writable<HoldMessage>
  message.ttl = acquired.ttl
  const finish = (outcome: 'released' | 'lost', error?: E_LOCK_LOST) => {
    message.held = native.now() - grantedAt
    message.outcome = outcome
    if (error !== undefined) {
      message.error = error
      holds.error.publish(message)
    }
    holds.asyncStart.publish(message)
    holds.asyncEnd.publish(message)
  }
  const observer: LeaseObserver = {
    released: () => finish('released'),
    lost(error) {
      if (losses.hasSubscribers) {
        const loss = acquired.next(lease) as Message & Writable<LostMessage>
        loss.error = error
        loss.reason = error.reason
        losses.publish(loss)
      }
      finish('lost', error)
    },
  }
  holds.start.publish(message)
  holds.end.publish(message)
  LeaseLife.of(lease).observe(observer)
  return lease
}
