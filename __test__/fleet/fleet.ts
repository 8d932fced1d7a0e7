/**
 * Processes that lock together: started, watched, killed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { History, Recorder, now } from '../faults/history.js'
import { until } from '../unit/observe.js'
import { startProcess, startThread } from './body.js'
import type { Body, Ending } from './body.js'
import { Storage } from './fencing/storage.js'
import { countedIn } from './meeting_point.js'
import type { FromMember, MemberOrder, ToMember } from './orders.js'

/** A process or a thread, seen from outside. */
export class Member {
  readonly name: string
  /** How many locks it has been granted, as far as is known. */
  granted = 0
  isReady = false
  isDone = false
  /** Times at which it held a lock but left the work undone, since too little of the lease was left. */
  skipped = 0
  /** How it ended: by itself, by a signal, or with an error. */
  ending: Ending = null
  readonly #body: Body
  readonly #storage: Storage
  #stderr = ''

  constructor(order: MemberOrder, storage: Storage) {
    this.name = order.name
    this.#storage = storage
    const start = order.body === 'thread' ? startThread : startProcess
    this.#body = start(order, {
      hear: (message) => this.#hear(message),
      complain: (text) => {
        this.#stderr += text
      },
      end: (ending) => {
        this.ending = ending
      },
    })
  }

  get isRunning(): boolean {
    return this.ending === null
  }

  say(message: ToMember): void {
    this.#body.say(message)
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#body.kill()
    await until(() => !this.isRunning)
  }

  /** SIGSTOP: it does nothing, and its connections stay. */
  suspend(): void {
    this.#body.signal('SIGSTOP')
  }

  /** SIGCONT. */
  resume(): void {
    this.#body.signal('SIGCONT')
  }

  /** @throws Error if it ended by itself without having done its work */
  assertWell(): void {
    if (this.isRunning || this.ending === 'SIGKILL' || (this.ending === 0 && this.isDone)) return
    throw new Error(`${this.name} ended with ${this.ending}:\n${this.#stderr}`)
  }

  #hear(message: FromMember): void {
    if (message.kind === 'ready') this.isReady = true
    else if (message.kind === 'write') {
      const { call, key, token } = message
      this.say({ kind: 'answer', call, isAccepted: this.#storage.write(key, token) })
    } else {
      this.granted = message.total
      if (message.kind === 'done') {
        this.isDone = true
        this.skipped = message.skipped
      }
    }
  }
}

/** What all members have in common. */
export type FleetOrder = Omit<MemberOrder, 'name' | 'history' | 'meetingPoint' | 'seed'>

/**
 * Processes with one history.
 */
export class Fleet {
  readonly history = new History()
  /** Writes what happened to the fleet as a whole. */
  readonly recorder = new Recorder(this.history.folder, 'fleet')
  readonly members: Member[] = []
  /** What members write to that have no other place for it. */
  readonly storage = new Storage()
  /** Where the members meet. */
  readonly #meetingPoint = mkdtempSync(join(tmpdir(), 'loquet-fleet-'))
  readonly #seed: number

  constructor(seed: number) {
    this.#seed = seed
  }

  get running(): Member[] {
    return this.members.filter((member) => member.isRunning)
  }

  /** Starts processes; resolves when they are ready. They begin with `go`. */
  async start(count: number, order: FleetOrder, name: string = order.peer): Promise<Member[]> {
    const started = Array.from({ length: count }, () => {
      const place = this.members.length
      const member = new Member(
        {
          ...order,
          name: `${name}-${place}`,
          history: this.history.folder,
          meetingPoint: this.#meetingPoint,
          seed: this.#seed + place,
        },
        this.storage
      )
      this.members.push(member)
      return member
    })
    await this.waitUntil(() => started.every(({ isReady }) => isReady))
    return started
  }

  /** How many locks have been granted, as far as is known. */
  get granted(): number {
    return this.members.reduce((sum, { granted }) => sum + granted, 0)
  }

  /** The sum of all counters. */
  get counted(): number {
    return countedIn(this.#meetingPoint)
  }

  go(members = this.members): void {
    for (const member of members) member.say('go')
  }

  async kill(member: Member): Promise<void> {
    await member.kill()
    this.recorder.write({ kind: 'died', at: now(), process: member.name })
  }

  /** Resolves when each of the members has been granted so many more locks. */
  async progress(locks: number, members = this.running): Promise<void> {
    const goals = members.map((member) => ({ member, goal: member.granted + locks }))
    await this.waitUntil(() => goals.every(({ member, goal }) => member.granted >= goal))
  }

  /** Resolves when some locks have been granted, whoever got them. */
  async progressOfAny(): Promise<void> {
    const before = this.granted
    await this.waitUntil(() => this.granted > before + 5)
  }

  /** Resolves when all that run have done their work and have ended by themselves. */
  async finish(): Promise<void> {
    const members = this.running
    for (const member of members) member.say('stop')
    await this.waitUntil(() => members.every(({ isRunning }) => !isRunning))
  }

  /** Waits for the rest to do what they have to do by themselves. */
  async completed(members = this.members): Promise<void> {
    await this.waitUntil(() => members.every(({ isRunning }) => !isRunning))
  }

  /** As `until`, but throws as soon as a member has ended in a way that it shouldn't. */
  async waitUntil(condition: () => boolean | Promise<boolean>): Promise<void> {
    await until(async () => {
      for (const member of this.members) member.assertWell()
      return condition()
    })
  }

  /** Ends everything that still runs. */
  async remove(): Promise<void> {
    await Promise.all(this.running.map((member) => member.kill()))
    this.recorder.close()
    this.history.remove()
    rmSync(this.#meetingPoint, { recursive: true, force: true })
  }
}
