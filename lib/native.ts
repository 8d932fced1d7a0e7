/**
 * The addon, and the table of tickets: numbers that stand for acquires while they wait natively. The only file that
 * has the addon loaded.
 */
import { loadBinding } from './binding.js'
import { E_LOCK_STORAGE_ERROR, InvalidArgumentsException } from './errors.js'

/** The statuses and the shared numbers of `src/node/engine.rs` and `src/node/buffer.rs`. */
export const DONE = 1
export const WAITING = 2
/** How an attempt is made in a lock space: refused while others wait; with a fencing token. */
export const IN_TURN = 1
export const FENCED = 2
const SETTLED_SHIFT = 2
export const SLOT = 0
export const SERIAL = 1
export const ENDS_AT = 2
export const DEADLINE = 3
export const WAITER_INDEX = 4
export const WAITER_SERIAL = 5
const RECORDS = 7
const RECORD = 5
const CAPACITY = 64

const KIND_DEADLINE = 0
const KIND_ACQUIRED = 1
const KIND_REFUSED = 2
const KIND_CLOSED = 3
const KIND_DONE = 4
const KIND_NOT_OWNED = 5
const KIND_FAILED = 6
const KIND_EXISTS = 7
const KIND_NOTICE = 8
const KIND_LOST = 9

/** What the last native call wrote besides its status. */
export const numbers = new Float64Array(RECORDS + CAPACITY * RECORD)

/** Somebody who waits for a settlement. */
export interface Ticketed {
  /** The settings under which it waits; see `SCOPE`. */
  readonly scope?: object
  /** What it gives back: a lease, or the engine for its connection and for what is left behind; see `loosen`. */
  readonly releases?: object
  /** Whether nobody waits any longer, see `loosen`. */
  isLoose?: boolean
  /** `serial`: the fencing token, if one was asked for. */
  granted(slot: number, serial: number, endsAt: number): void
  /** `isTainted`: the owner must not be used again, what was asked for it is still being cleaned up. */
  refused(isTainted?: boolean): void
  closed(): void
  failed?(reason: unknown, isTainted?: boolean): void
  /** Not for acquires. */
  done?(): void
  notOwned?(): void
  told?(answer: boolean): void
}

/** The functions that are called for every lock. The first two return statuses. */
interface HotPath {
  /**
   * One attempt. `ttl` is in milliseconds, 0 for no expiry; `manner` is made of IN_TURN and FENCED. The serial of a fenced
   * lease is its token.
   */
  acquire(space: number, key: string, ttl: number, manner: number, owner?: string): number
  release(space: number, slot: number, serial: number): number
  /**
   * `ttl` 0 for no expiry, `timeout` negative for none, `fenced` 1 for a fencing token, which is the serial then. Ends with
   * acquired, refused, closed or failed.
   */
  serverAcquire(
    server: number,
    key: string,
    owner: string,
    ttl: number,
    attempts: number,
    delay: number,
    timeout: number,
    ticket: number,
    fenced: 0 | 1
  ): void
  /** `endsAt` as in a lease. Ends with done, not owned or failed. */
  serverRelease(server: number, key: string, owner: string, endsAt: number, ticket: number): void
}

const binding = loadBinding()

/** One per thread and copy of this module: worker threads evaluate it anew. */
export const environment = binding.open(numbers, collect)
export const native = binding
export const hot = {} as HotPath
binding.installHotPath(hot)

const tickets: (Ticketed | undefined)[] = []
const freeTickets: number[] = []
/** How many tickets keep the event loop alive, and how many don't. */
let waiting = 0
let loose = 0
let isReferenced = false
let isIdleCheckDue = false

/** Called when the next deadline of a space that is shared between threads has come nearer, by the space's handle. */
export const deadlineListeners = new Map<number, () => void>()

/** Called when the store behind a server handle has something to tell a person. */
export const noticeListeners = new Map<number, () => void>()

/** Called with the reason's number when a lease is over that was extended natively, by the leash's number. */
export const lossListeners = new Map<number, (reason: number) => void>()

/**
 * Takes a ticket. The event loop stays alive until it is given back.
 */
export function takeTicket(holder: Ticketed): number {
  waiting++
  if (!isReferenced) {
    isReferenced = true
    binding.setReferenced(environment, true)
  }
  const ticket = freeTickets.pop() ?? tickets.length
  tickets[ticket] = holder
  return ticket
}

/**
 * Who holds a ticket.
 */
export function holderOf(ticket: number): Ticketed | undefined {
  return tickets[ticket]
}

/**
 * Gives a ticket back; returns who held it.
 */
export function giveBackTicket(ticket: number): Ticketed | undefined {
  const holder = tickets[ticket]
  if (holder === undefined) return undefined
  tickets[ticket] = undefined
  freeTickets.push(ticket)
  if (holder.isLoose === true) loose--
  else stopWaiting()
  return holder
}

/**
 * Nobody waits any longer for these to be given back: that doesn't keep the event loop alive.
 */
export function loosen(given: ReadonlySet<object>): void {
  for (const holder of tickets) {
    if (holder?.releases === undefined || holder.isLoose || !given.has(holder.releases)) continue
    holder.isLoose = true
    loose++
    stopWaiting()
  }
}

function stopWaiting(): void {
  if (--waiting > 0) return
  if (loose === 0) {
    tickets.length = 0
    freeTickets.length = 0
  }
  scheduleIdleCheck()
}

/**
 * The tickets of those who wait under the given settings.
 */
export function ticketsOf(scope: object): number[] {
  const found: number[] = []
  for (const [ticket, holder] of tickets.entries()) {
    if (holder?.scope === scope) found.push(ticket)
  }
  return found
}

/**
 * Hands out the settlements that a call has written, as its status tells, and whatever else there is.
 */
export function deliver(status: number): void {
  let count = status >>> SETTLED_SHIFT
  while (count > 0) {
    // A copy if there are several: to deliver one may lead to a call that writes others over the rest.
    const records = count === 1 ? numbers : numbers.slice(0, RECORDS + count * RECORD)
    for (let index = 0, at = RECORDS; index < count; index++, at += RECORD) {
      deliverOne(records[at], records[at + 1], records[at + 2], records[at + 3], records[at + 4])
    }
    if (count < CAPACITY) return
    count = binding.collect(environment) >>> SETTLED_SHIFT
  }
}

function deliverOne(
  kind: number,
  subject: number,
  slot: number,
  serial: number,
  endsAt: number
): void {
  if (kind === KIND_DEADLINE) {
    deadlineListeners.get(subject)?.()
    return
  }
  if (kind === KIND_NOTICE) {
    noticeListeners.get(subject)?.()
    return
  }
  if (kind === KIND_LOST) {
    lossListeners.get(subject)?.(slot)
    return
  }
  const holder = giveBackTicket(subject)
  if (kind === KIND_ACQUIRED) holder?.granted(slot, serial, endsAt)
  else if (kind === KIND_DONE) holder?.done?.()
  else if (kind === KIND_REFUSED) holder?.refused(slot === 1)
  else if (kind === KIND_NOT_OWNED) holder?.notOwned?.()
  else if (kind === KIND_EXISTS) holder?.told?.(slot === 1)
  else if (kind === KIND_CLOSED) holder?.closed()
  else if (kind === KIND_FAILED) holder?.failed?.(takeError(slot), true)
}

/** The error that a settlement has told of. */
function takeError(number: number): Error {
  const failure = binding.takeError(environment, number)
  if (failure?.code !== E_LOCK_STORAGE_ERROR.code) {
    return new InvalidArgumentsException(failure?.message)
  }
  // The driver's error has no stack of its own here; what it says is what helps.
  const cause = failure.cause === undefined ? undefined : new Error(failure.cause)
  if (cause !== undefined) cause.stack = `${cause.name}: ${cause.message}`
  return new E_LOCK_STORAGE_ERROR([failure.message], { cause })
}

/** Other threads have settled something. */
function collect(): void {
  deliver(binding.collect(environment))
}

/**
 * Lets the event loop end a moment later, in milliseconds: under contention the last waiter is often followed by the next
 * at once, and so is one command to a server by another. Switching back and forth, or even looking once in every turn of
 * the event loop, would cost more than the lock.
 */
const IDLE_CHECK_PAUSE = 5

function scheduleIdleCheck(): void {
  if (isIdleCheckDue) return
  isIdleCheckDue = true
  setTimeout(() => {
    isIdleCheckDue = false
    if (waiting === 0 && isReferenced) {
      isReferenced = false
      binding.setReferenced(environment, false)
    }
  }, IDLE_CHECK_PAUSE).unref() // until it fires, the reference itself keeps the event loop alive
}
