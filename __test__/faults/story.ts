/**
 * One acquire and what became of it, as a history tells it.
 */
import type { LeaseEvent } from './history.js'

export type Span = readonly [from: number, to: number]

type Kind = LeaseEvent['kind']

/** Which call an answer ends. */
const CALL_OF: Partial<Record<Kind, Kind>> = {
  'granted': 'asked',
  'refused': 'asked',
  'ask-failed': 'asked',
  'released': 'releasing',
  'release-failed': 'releasing',
  'extended': 'extending',
  'extend-failed': 'extending',
}

const NEVER = Number.POSITIVE_INFINITY

export class Story {
  readonly key: string
  readonly owner: string
  /** Who asked. */
  readonly process: string
  readonly asked: number
  readonly ttl: number
  /** Calls that have not ended. */
  readonly calls: LeaseEvent[] = []
  /** When the acquire ended, and how. */
  settled: number | null = null
  outcome: Kind | null = null
  granted: number | null = null
  /** To when the holder believes in its lease. */
  believed = 0
  /** When the store's lease is over at the latest: a TTL is counted from before its answer came. */
  latestEnd = 0
  /** When the first release was about to be called. */
  releasing = NEVER
  /** Since when it is certain that the lease is gone. */
  gone: number | null = null
  /** Whether a release or an extend failed and left open what it did. */
  isDoubtful = false
  /** When the process that asked died. */
  died: number | null = null
  /** When something was heard of it last. */
  touched = 0

  constructor({ key, owner, process, at, ttl }: LeaseEvent) {
    this.key = key
    this.owner = owner
    this.process = process
    this.asked = at
    this.ttl = ttl ?? NEVER
  }

  begins({ kind }: LeaseEvent): boolean {
    return CALL_OF[kind] === undefined
  }

  /** The call that an answer ends. */
  endedCall({ kind, process }: LeaseEvent): LeaseEvent | undefined {
    return this.calls.find((call) => call.kind === CALL_OF[kind] && call.process === process)
  }

  take(event: LeaseEvent): void {
    const { kind, at } = event
    this.touched = at
    if (this.begins(event)) {
      this.calls.push(event)
      if (kind === 'releasing') this.releasing = Math.min(this.releasing, at)
      return
    }
    const call = this.endedCall(event)!
    this.calls.splice(this.calls.indexOf(call), 1)
    const callTtl = call.ttl ?? NEVER
    if (call.kind === 'asked') {
      this.settled = at
      this.outcome = kind
      if (kind === 'granted') this.granted = at
    }
    if (kind === 'granted' || kind === 'extended') {
      this.believed = event.until ?? NEVER
      this.latestEnd = at + callTtl
    } else if (kind === 'released') this.gone ??= at
    else if (kind === 'release-failed' || kind === 'extend-failed') {
      if (event.code === 'E_LOCK_NOT_OWNED') this.gone ??= at
      else {
        this.isDoubtful = true
        if (kind === 'extend-failed') this.latestEnd = Math.max(this.latestEnd, at + callTtl)
      }
    }
  }

  /**
   * Milliseconds by which the clocks of holder and store may differ over this lease: both may count whole milliseconds
   * only, and the system may be correcting the clock that tells the time of day, which it does by less than 0.1 %.
   */
  get slack(): number {
    return 5 + (this.ttl === NEVER ? 0 : this.ttl / 1000)
  }

  /** To when the lease is live, in the sense of "two leases". */
  get liveUntil(): number {
    return Math.min(this.believed - this.slack, this.releasing, this.gone ?? NEVER)
  }

  /** When the key was taken, or may have been, by a lease that somebody knew of, or whose owner died. */
  get holds(): Span[] {
    if (this.granted !== null) {
      const extending = this.calls.find(({ kind }) => kind === 'extending')
      const extended = extending === undefined ? 0 : (this.died ?? 0) + (extending.ttl ?? NEVER)
      return [[this.granted, this.gone ?? Math.max(this.latestEnd, extended)]]
    }
    if (this.settled === null && this.died !== null) return [[this.died, this.died + this.ttl]]
    return []
  }
}

/** Whether a lease was granted, and not over by then: a process that is suspended may learn of one when it is. */
export function isLive(story: Story): story is Story & { granted: number } {
  return story.granted !== null && story.granted < story.liveUntil
}
