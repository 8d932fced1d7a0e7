/**
 * Says whether a history of locks was right. Knows nothing of the store.
 *
 * What an event was recorded for happened after the event "is about to" and before the event "has". So everything below
 * is reckoned with the moment that speaks for the store: what is called a violation is one however the events fell in
 * between. Only of how long a TTL is the clocks of holder and store may have slightly different opinions, see `slackOf`.
 */
import type { HistoryEvent, LeaseEvent, WorldEvent } from './history.js'
import { isLive, Story } from './story.js'
import type { Span } from './story.js'

const NOT_OWNED = 'E_LOCK_NOT_OWNED'

type FoundEvent = Extract<HistoryEvent, { kind: 'found' }>
type WriteEvent = Extract<HistoryEvent, { kind: 'wrote' }>

/** Vacancies shorter than this are of no interest. */
const SHORTEST_VACANCY = 20

export interface Violation {
  rule:
    /**
     * Two live leases of one key at one time. A lease is live from the moment at which its acquire had resolved until
     * the moment at which its release was about to be called, at the longest for as long as its holder could believe in
     * it: until its TTL was over, counted from before the acquire (or the last successful extend) was sent, as
     * `getRemainingTime` says. A holder that died keeps its lease until then. Excused if the store forgot in between.
     */
    | 'two-leases'
    /**
     * An acquire that was not settled for a while, in which nobody had the key: nobody held a lease that was granted
     * and not yet given back. Then it waited for a lease that nobody knows of. Called so if nobody else had asked for
     * the key: the lease was its own.
     */
    | 'self-wait'
    /** The same, if somebody else had asked for the key: the lease may have been theirs. */
    | 'unknown-lease'
    /** The store had a key when everybody was done, and nobody's lease that could explain it. */
    | 'left-behind'
    /**
     * A release or extend ended with E_LOCK_NOT_OWNED before the lease's own end, though nothing had been done to the
     * lease before whose outcome is open. Excused if the store forgot in between.
     */
    | 'lost'
    /** A release or extend succeeded though the lease was over, by every clock, when it was asked for. */
    | 'revived'
    /**
     * Two wrote the same value: one of them had not read what the other wrote. Excused if one of them wrote when it
     * could no longer believe in its lease.
     */
    | 'lost-update'
    /** A call never ended, and its process lived. */
    | 'unsettled'
    /** An error of another kind than was allowed. */
    | 'error'
    /** The history itself can't be: an event without what must come before it. A mistake of the test. */
    | 'history'
  key: string
  message: string
}

export interface CheckOptions {
  /**
   * Milliseconds that an acquire may wait while nobody has the key. Longer than the longest disturbance and the time
   * that cleaning up may take, shorter than the TTLs; where TTLs are shorter than it, self-waits can't be seen.
   */
  patience: number
  /** Codes (or names) of errors that calls may end with; E_LOCK_NOT_OWNED is looked at by itself. By default none. */
  errors?: readonly string[]
}

export interface CheckedHistory {
  violations: Violation[]
  /** How many acquires there were, and how they ended. */
  asked: number
  granted: number
  refused: number
  failed: number
  /** How many calls ended with which error. */
  errors: Record<string, number>
  /** Milliseconds: the longest wait of an acquire that was granted. */
  longestWait: number
  /** Milliseconds: the longest time that an acquire waited while nobody had the key. */
  longestVacancy: number
}

/** Checks everything that `Violation` names. */
export function check(history: readonly HistoryEvent[], options: CheckOptions): CheckedHistory {
  const checker = new Checker(options)
  const inOrder = history.toSorted((one, other) => one.at - other.at)
  // What happened to the world may have been noticed later than what came of it.
  for (const event of inOrder) if (!isOfLease(event)) checker.takeOfWorld(event)
  for (const event of inOrder) if (isOfLease(event)) checker.takeOfLease(event)
  return checker.finish()
}

/**
 * As `check`, but throws an error that lists the violations, if there are any.
 */
export function assertRight(
  history: readonly HistoryEvent[],
  options: CheckOptions
): CheckedHistory {
  const checked = check(history, options)
  const { violations } = checked
  if (violations.length === 0) return checked
  const byRule = new Map<string, string[]>()
  for (const { rule, message } of violations) {
    byRule.set(rule, [...(byRule.get(rule) ?? []), message])
  }
  const shown = [...byRule].flatMap(([rule, messages]) => [
    `${rule} (${messages.length}):`,
    ...messages.slice(0, 3).map((message) => `- ${message}`),
  ])
  throw new Error(`the history is wrong\n${shown.join('\n')}`)
}

class Checker {
  readonly #options: CheckOptions
  readonly #stories = new Map<string, Story>()
  readonly #violations: Violation[] = []
  readonly #deaths = new Map<string, number>()
  readonly #forgot: Span[] = []
  readonly #found: FoundEvent[] = []
  readonly #writes: WriteEvent[] = []
  readonly #errors: Record<string, number> = {}
  #first = Number.POSITIVE_INFINITY
  #last = 0

  constructor(options: CheckOptions) {
    this.#options = options
  }

  takeOfWorld(event: WorldEvent): void {
    this.#see(event.at)
    if (event.kind === 'died') this.#deaths.set(event.process, event.at)
    else if (event.kind === 'forgot') this.#forgot.push([event.from, event.at])
    else if (event.kind === 'found') this.#found.push(event)
    else this.#writes.push(event)
  }

  finish(): CheckedHistory {
    const stories = [...this.#stories.values()]
    for (const story of stories) {
      story.died = this.#deaths.get(story.process) ?? null
      this.#checkSettled(story)
    }
    let longestVacancy = 0
    for (const ofKey of byKey(stories).values()) {
      this.#checkExclusion(ofKey)
      longestVacancy = Math.max(longestVacancy, this.#checkWaits(ofKey))
    }
    for (const found of this.#found) this.#checkFound(stories, found)
    this.#checkWrites()
    const granted = stories.filter((story) => story.granted !== null)
    return {
      violations: this.#violations,
      asked: stories.length,
      granted: granted.length,
      refused: stories.filter(({ outcome }) => outcome === 'refused').length,
      failed: stories.filter(({ outcome }) => outcome === 'ask-failed').length,
      errors: this.#errors,
      longestWait: granted.reduce(
        (most, { asked, settled }) => Math.max(most, settled! - asked),
        0
      ),
      longestVacancy,
    }
  }

  takeOfLease(event: LeaseEvent): void {
    this.#see(event.at)
    const id = idOf(event)
    let story = this.#stories.get(id)
    if (story === undefined) {
      if (event.kind !== 'asked') return this.#report('history', event, 'was not asked for before')
      story = new Story(event)
      this.#stories.set(id, story)
    } else if (event.kind === 'asked') {
      return this.#report('history', event, 'was asked for twice')
    }
    if ((this.#deaths.get(event.process) ?? event.at) < event.at) {
      this.#report('history', event, 'was written by the dead')
    }
    const call = story.begins(event) ? null : story.endedCall(event)
    if (call === undefined) return this.#report('history', event, 'belongs to no call')
    if (call !== null) this.#checkAnswer(story, call, event)
    story.take(event)
  }

  #see(at: number): void {
    this.#first = Math.min(this.#first, at)
    this.#last = Math.max(this.#last, at)
  }

  /** What can be said of an answer by what was known before it. */
  #checkAnswer(story: Story, call: LeaseEvent, event: LeaseEvent): void {
    const { code } = event
    if (code !== undefined) this.#errors[code] = (this.#errors[code] ?? 0) + 1
    if (event.kind === 'released' || event.kind === 'extended') {
      if (call.at > story.latestEnd + story.slack) {
        this.#report(
          'revived',
          event,
          `though it had ended ${ms(call.at - story.latestEnd)} before`
        )
      }
    } else if (code === NOT_OWNED && event.kind !== 'ask-failed') {
      const isTooEarly = event.at < story.believed - story.slack
      const isOpen = story.gone !== null || story.isDoubtful || story.granted === null
      if (isTooEarly && !isOpen && !this.#hasForgotten(story.granted!, event.at)) {
        const early = ms(story.believed - event.at)
        this.#report('lost', event, `${early} before its end`)
      }
    } else if (code !== undefined && !this.#options.errors?.includes(code)) {
      this.#report('error', event, `${code} (${event.message ?? ''})`)
    }
  }

  #checkExclusion(stories: Story[]): void {
    const leases = stories.filter(isLive).sort((one, other) => one.granted - other.granted)
    let live: typeof leases = []
    for (const lease of leases) {
      live = live.filter(({ liveUntil }) => liveUntil > lease.granted)
      for (const other of live) {
        if (this.#hasForgotten(other.granted, lease.granted)) continue
        const left = ms(other.liveUntil - lease.granted)
        const who = `${other.owner} of ${other.process}`
        const message = `while ${who} had it, for another ${left}, since ${this.#moment(other.granted)}`
        this.#report('two-leases', { ...lease, kind: 'granted', at: lease.granted }, message)
      }
      live.push(lease)
    }
  }

  /** Looks for waits while nobody had the key. Returns the longest. */
  #checkWaits(stories: Story[]): number {
    const vacancies = gapsOf(stories.flatMap((story) => story.holds))
    const { patience } = this.#options
    let longest = 0
    for (const story of stories) {
      const end = story.settled ?? story.died ?? this.#last
      for (const [from, to] of vacancies) {
        const [begin, until] = [Math.max(from, story.asked), Math.min(to, end)]
        longest = Math.max(longest, until - begin)
        if (until - begin <= patience) continue
        const isAlone = stories.every(
          (other) => other === story || other.asked > until || other.touched < begin - story.ttl
        )
        const waited = `for ${ms(until - begin)} from ${this.#moment(begin)} on nobody had it`
        this.#report(isAlone ? 'self-wait' : 'unknown-lease', { ...story, at: story.asked }, waited)
        break
      }
    }
    return longest
  }

  #checkFound(stories: Story[], found: FoundEvent): void {
    const { key, at } = found
    const isExplained = stories.some(
      (story) => story.key === key && story.holds.some(([from, to]) => from <= at && at <= to)
    )
    if (isExplained) return
    const { owner = 'somebody' } = found
    const story = this.#stories.get(idOf({ key, owner }))
    const past = story === undefined ? 'nothing is known of it' : this.#tell(story)
    const message = `"${key}" was there at ${this.#moment(at)} for ${owner}: ${past}`
    this.#violations.push({ rule: 'left-behind', key, message })
  }

  #checkWrites(): void {
    const seen = new Map<string, WriteEvent>()
    for (const write of this.#writes) {
      const { key, value } = write
      // A story is complete only now, but its lease was extended, if at all, before it wrote.
      const story = this.#stories.get(idOf(write))
      if (story === undefined) this.#report('history', write, 'was not asked for before')
      else if (write.at > story.believed - story.slack) continue
      const other = seen.get(`${key}\n${value}`)
      if (other === undefined) seen.set(`${key}\n${value}`, write)
      else {
        const who = `${other.owner} of ${other.process} at ${this.#moment(other.at)}`
        this.#report('lost-update', write, `the value ${value}, as did ${who}`)
      }
    }
  }

  #checkSettled(story: Story): void {
    for (const call of story.calls) {
      if (!this.#deaths.has(call.process)) this.#report('unsettled', call, 'never ended')
    }
  }

  #hasForgotten(since: number, until: number): boolean {
    return this.#forgot.some(([from, to]) => since <= to && from <= until)
  }

  #report(
    rule: Violation['rule'],
    about: Pick<LeaseEvent, 'key' | 'owner' | 'process' | 'at'> & { kind?: string },
    message: string
  ): void {
    const { key, owner, process, at, kind = 'asked' } = about
    const what = `"${key}" ${kind} at ${this.#moment(at)} by ${owner} of ${process}`
    this.#violations.push({ rule, key, message: `${what}: ${message}` })
  }

  /** What became of an acquire, in short. */
  #tell({ asked, outcome, settled, releasing, gone }: Story): string {
    const parts = [`asked at ${this.#moment(asked)}`]
    if (settled !== null) parts.push(`${outcome} at ${this.#moment(settled)}`)
    if (Number.isFinite(releasing)) parts.push(`releasing at ${this.#moment(releasing)}`)
    if (gone !== null) parts.push(`gone since ${this.#moment(gone)}`)
    return parts.join(', ')
  }

  /** A moment as people read it: since the history began. */
  #moment(at: number): string {
    return ms(at - this.#first)
  }
}

function idOf({ key, owner }: { key: string; owner: string }): string {
  return `${key}\n${owner}`
}

function ms(millis: number): string {
  return Number.isFinite(millis) ? `${millis.toFixed(1)} ms` : 'ever'
}

function isOfLease(event: HistoryEvent): event is LeaseEvent {
  return !['died', 'forgot', 'found', 'wrote'].includes(event.kind)
}

function byKey(stories: Story[]): Map<string, Story[]> {
  const groups = new Map<string, Story[]>()
  for (const story of stories) {
    const group = groups.get(story.key)
    if (group === undefined) groups.set(story.key, [story])
    else group.push(story)
  }
  return groups
}

/** What lies between the spans, before and after them, unless it is short. */
function gapsOf(spans: Span[]): Span[] {
  const gaps: Span[] = []
  let covered = Number.NEGATIVE_INFINITY
  for (const [from, to] of spans.sort(([one], [other]) => one - other)) {
    if (from - covered > SHORTEST_VACANCY) gaps.push([covered, from])
    covered = Math.max(covered, to)
  }
  gaps.push([covered, Number.POSITIVE_INFINITY])
  return gaps
}
