/**
 * Says whether fencing tokens were right, by what everybody wrote down who used them. Knows nothing of the store.
 *
 * What an event was recorded for happened after the event "is about to" and before the event "has". Everything below is
 * reckoned with the moment that speaks for the store, as in ../../faults/checker.ts.
 */
import type { FencingEvent, HistoryEvent, LeaseEvent } from '../../faults/history.js'

export interface TokenViolation {
  rule:
    /** A lock was granted without a token, or with one that is none. */
    | 'no-token'
    /** A token that had been granted for the key before. */
    | 'twice'
    /** A token that isn't greater than one that was known before this lock was asked for. */
    | 'not-greater'
    /**
     * A token that isn't greater than one that was known when this lock was granted, though its holder had it then, and
     * nothing had been done since it asked that could have given the key to two.
     */
    | 'not-in-turn'
    /** The storage accepted a token though it had accepted a greater one before this one was offered. */
    | 'storage'
    /**
     * The storage accepted what a holder wrote, though somebody who had asked for the lock only after this holder got it
     * had written before.
     */
    | 'old-write'
    /** The storage refused a token, and nobody had offered a greater one. */
    | 'refused-latest'
    /** The storage refused somebody who held the lock, and whom nobody can have robbed of it. */
    | 'refused-holder'
    /** A call never ended, and its process lived. */
    | 'unsettled'
    /** An error that was not allowed. */
    | 'error'
  key: string
  message: string
}

export interface CheckedTokens {
  violations: TokenViolation[]
  /** How many locks were granted. */
  acquisitions: number
  /** How many members were killed. */
  kills: number
  /** How many leases their holders let run out. */
  expiries: number
  /** How often a key was freed by force. */
  forced: number
  /** How many leases were ended by that, for certain. */
  robbed: number
  /** How many writes the storage accepted, and refused. */
  accepted: number
  denied: number
  /** How many refused writes were those of a lease that was over, as its holder could know. */
  overdue: number
  /** How many calls ended with which error. */
  errors: Record<string, number>
}

export type TokenEvent = HistoryEvent | FencingEvent

type WriteEvent = Extract<FencingEvent, { token: string }>

interface Granted {
  asked: LeaseEvent
  /** The greatest token that was known before it asked. */
  floor: number
  token?: number
  grantedAt: number
  /** To when its holder believes in it. */
  until: number
  /** Since when it gives it back. */
  releasing: number
}

interface Offer {
  event: WriteEvent
  /** The greatest token that had been accepted before. */
  floor: number
  /** When the last of those had asked for the lock whose writes had been accepted before. */
  lastAsked: number
}

interface OfKey {
  holders: Map<number, string>
  /** The greatest token that is known. */
  known: number
  /** The greatest that has been offered, and that has been accepted. */
  offered: number
  accepted: number
  lastAsked: number
  /** When it was freed by force: from, to. */
  forced: [from: number, to: number][]
}

const NOT_OWNED = 'E_LOCK_NOT_OWNED'
const NEVER = Number.POSITIVE_INFINITY

/**
 * Milliseconds in which a server performs what was sent to it, also if the sender has died since or was told of a failure.
 */
const DELIVERY = 10_000

/**
 * Checks everything that `TokenViolation` names.
 *
 * @param history - In the order of time
 * @throws Error if the history itself can't be: a mistake of the test
 */
export function checkTokens(
  history: readonly TokenEvent[],
  options: { errors?: readonly string[] } = {}
): CheckedTokens {
  const checker = new TokenChecker(history, options.errors ?? [])
  for (const event of history) checker.take(event)
  return checker.finish()
}

class TokenChecker {
  readonly #allowed: readonly string[]
  readonly #leases = new Map<string, Granted>()
  readonly #offers = new Map<string, Offer>()
  readonly #keys = new Map<string, OfKey>()
  readonly #deaths = new Map<string, number>()
  readonly #forgot: [from: number, to: number][] = []
  readonly #checked: CheckedTokens = {
    ...{ violations: [], acquisitions: 0, kills: 0, expiries: 0, forced: 0, robbed: 0 },
    ...{ accepted: 0, denied: 0, overdue: 0, errors: {} },
  }
  readonly #first: number
  readonly #last: number

  /** What happened to the world is looked up first: it may have been noticed later than what came of it. */
  constructor(history: readonly TokenEvent[], errors: readonly string[]) {
    this.#allowed = errors
    this.#first = history[0]?.at ?? 0
    this.#last = history.at(-1)?.at ?? 0
    const forcing = new Map<string, [from: number, to: number]>()
    for (const event of history) {
      if (event.kind === 'died') this.#deaths.set(event.process, event.at)
      else if (event.kind === 'forgot') this.#forgot.push([event.from, event.at])
      else if (event.kind === 'forcing') {
        const span: [number, number] = [event.at, NEVER]
        forcing.set(callOf(event), span)
        this.#of(event.key).forced.push(span)
      } else if (event.kind === 'forced' || event.kind === 'force-failed') {
        const span = forcing.get(callOf(event))!
        span[1] = event.at + (event.kind === 'forced' ? 0 : DELIVERY)
        forcing.delete(callOf(event))
      }
    }
    for (const [call, span] of forcing) {
      span[1] = (this.#deaths.get(call.split('\n')[0]) ?? NEVER) + DELIVERY
    }
    this.#checked.kills = this.#deaths.size
  }

  take(event: TokenEvent): void {
    const { code } = event as { code?: string }
    if (code !== undefined) this.#checked.errors[code] = (this.#checked.errors[code] ?? 0) + 1
    switch (event.kind) {
      case 'asked':
        this.#leases.set(idOf(event), {
          ...{ asked: event, floor: this.#of(event.key).known },
          ...{ grantedAt: NEVER, until: NEVER, releasing: NEVER },
        })
        return
      case 'granted':
        return this.#takeGrant(event)
      case 'offering':
        return this.#takeOffer(event)
      case 'accepted':
      case 'denied':
      case 'offer-failed':
        return this.#takeAnswer(event)
      case 'releasing':
        this.#leaseOf(event).releasing = event.at
        return
      case 'release-failed':
        if (event.code !== NOT_OWNED) this.#checkError(event)
        return
      case 'ask-failed':
        this.#leases.delete(idOf(event))
        return this.#checkError(event)
      case 'force-failed':
        return this.#checkError(event)
      case 'forced':
        this.#checked.forced++
    }
  }

  finish(): CheckedTokens {
    for (const lease of this.#leases.values()) {
      const { asked, token, grantedAt, until, releasing } = lease
      const died = this.#deaths.get(asked.process)
      const end = Math.min(releasing, died ?? this.#last)
      const { forced } = this.#of(asked.key)
      if (forced.some(([from, to]) => grantedAt < from && to < Math.min(until, end))) {
        this.#checked.robbed++
      } else if (token !== undefined && until < end) this.#checked.expiries++
      if (token === undefined && died === undefined) this.#report('unsettled', asked, 'never ended')
    }
    for (const { event } of this.#offers.values()) {
      if (!this.#deaths.has(event.process)) this.#report('unsettled', event, 'never ended')
    }
    return this.#checked
  }

  #takeGrant(event: LeaseEvent): void {
    const lease = this.#leaseOf(event)
    const { key, at, owner } = event
    const of = this.#of(key)
    const token = Number(event.token ?? Number.NaN)
    this.#checked.acquisitions++
    Object.assign(lease, { token, grantedAt: at, until: event.until ?? NEVER })
    if (!Number.isSafeInteger(token) || token <= 0) {
      return this.#report('no-token', event, `${event.token}`)
    }
    const other = of.holders.get(token)
    if (other !== undefined) this.#report('twice', event, `${token}, as ${other} had before`)
    of.holders.set(token, owner)
    if (token <= lease.floor) {
      this.#report('not-greater', event, `${token} after ${lease.floor}, asked for later`)
    } else if (token <= of.known && this.#holdsFor(lease, at)) {
      this.#report('not-in-turn', event, `${token} after ${of.known}, granted earlier`)
    }
    of.known = Math.max(of.known, token)
  }

  #takeOffer(event: WriteEvent): void {
    const of = this.#of(event.key)
    this.#offers.set(callOf(event), { event, floor: of.accepted, lastAsked: of.lastAsked })
    of.offered = Math.max(of.offered, Number(event.token))
  }

  #takeAnswer(event: WriteEvent): void {
    const of = this.#of(event.key)
    const lease = this.#leaseOf(event)
    const offer = this.#offers.get(callOf(event))!
    this.#offers.delete(callOf(event))
    const token = Number(event.token)
    if (event.kind === 'offer-failed') return this.#checkError(event)
    if (event.kind === 'accepted') {
      this.#checked.accepted++
      if (token < offer.floor) this.#report('storage', event, `${token} after ${offer.floor}`)
      if (lease.grantedAt < offer.lastAsked) {
        this.#report('old-write', event, `${token}, after a later holder had written`)
      }
      of.accepted = Math.max(of.accepted, token)
      of.lastAsked = Math.max(of.lastAsked, lease.asked.at)
      return
    }
    this.#checked.denied++
    if (offer.event.at > lease.until) this.#checked.overdue++
    if (token >= of.offered) this.#report('refused-latest', event, `${token}`)
    else if (this.#holdsFor(lease, event.at)) {
      this.#report(
        'refused-holder',
        event,
        `${token}, ${ms(lease.until - event.at)} before its end`
      )
    }
  }

  /** Whether a lease that was granted is certain to have been its holder's alone from when it was asked for. */
  #holdsFor({ asked, until, releasing }: Granted, to: number): boolean {
    const slack = 5 + (asked.ttl ?? 0) / 1000
    const spans = [...this.#of(asked.key).forced, ...this.#forgot]
    const isDisturbed = spans.some(([from, end]) => from <= to && asked.at <= end)
    return to < until - slack && to < releasing && !isDisturbed
  }

  #checkError(event: LeaseEvent | FencingEvent): void {
    const { code = '', message } = event
    if (!this.#allowed.includes(code)) this.#report('error', event, `${code} (${message})`)
  }

  #leaseOf(event: { key: string; owner: string; process: string; at: number }): Granted {
    const lease = this.#leases.get(idOf(event))
    if (lease === undefined) throw new Error(`${event.key} of ${event.owner} was not asked for`)
    return lease
  }

  #of(key: string): OfKey {
    let of = this.#keys.get(key)
    if (of === undefined) {
      of = { holders: new Map(), known: 0, offered: 0, accepted: 0, lastAsked: 0, forced: [] }
      this.#keys.set(key, of)
    }
    return of
  }

  #report(
    rule: TokenViolation['rule'],
    about: { kind: string; key: string; process: string; at: number; owner?: string },
    message: string
  ): void {
    const { kind, key, process, at, owner = 'nobody' } = about
    const what = `"${key}" ${kind} at ${ms(at - this.#first)} for ${owner} of ${process}`
    this.#checked.violations.push({ rule, key, message: `${what}: ${message}` })
  }
}

function idOf({ key, owner }: { key: string; owner: string }): string {
  return `${key}\n${owner}`
}

function callOf({ process, call }: { process: string; call: number }): string {
  return `${process}\n${call}`
}

function ms(millis: number): string {
  return `${millis.toFixed(1)} ms`
}
