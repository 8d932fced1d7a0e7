/**
 * A member that writes under fenced locks, as its chance will have it: in time, too late, not at all.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { now, wordsOf } from '../../faults/history.js'
import type { FencingEvent, RecordedLock, Recorder } from '../../faults/history.js'
import type { Random } from '../../faults/random.js'
import type { Factory } from '../member.js'
import type { MemberOrder } from '../orders.js'
import type { OpenStorage } from './storage.js'

/** What a task does with a lock. */
const MANNERS = {
  /** Writes and releases. */
  prompt: 76,
  /** Writes, sleeps until its lease is over and then a while, and writes again. */
  late: 6,
  /** The same, without having written before. */
  later: 8,
  /** Does nothing: the lease runs out. */
  idle: 4,
  /** Writes when its lease is over and somebody for certain has written who came after it. */
  followed: 3,
  /** The same, with a lease that was ended by force. */
  robbed: 3,
}

/** How often a lock is freed by force before one is asked for. */
const FORCED = 0.1

/** Milliseconds: the TTL of a lease that is ended by force, which shouldn't run out before, also on a busy machine. */
const LONG = 5_000

/** Milliseconds: TTLs that run out, from and to. */
const SHORT = [30, 90] as const

/**
 * Milliseconds that pass after the end of a lease until somebody writes who had it, at most; and the time of two polls, so
 * that the next holder may be there.
 */
const OVERDUE = 40

/** What a writer has of its member. */
interface Surroundings {
  order: MemberOrder
  recorder: Recorder
  random: Random
  storage: OpenStorage
  createLock(key: string, ttl: number | null): ReturnType<Factory['createLock']>
  giveBack(lock: RecordedLock): Promise<void>
  granted(): void
  isStopping(): boolean
}

export class Writer {
  readonly #around: Surroundings
  #calls = 0

  constructor(around: Surroundings) {
    this.#around = around
  }

  close(): void | Promise<void> {
    return this.#around.storage.close()
  }

  /** Until the member is told to stop. */
  async takeTurns(): Promise<void> {
    const { order, random, isStopping } = this.#around
    while (!isStopping()) {
      if (random.chance(FORCED)) await this.#force(random.pick(order.keys))
      const key = random.pick(order.keys)
      const manner = random.weighted(MANNERS)
      const lock = await this.#acquire(key, this.#ttlOf(manner))
      if (lock !== undefined) await this.#work(lock, manner)
    }
  }

  /** Nothing if the store has failed. */
  async #acquire(key: string, ttl: number | null): Promise<RecordedLock | undefined> {
    const { recorder, createLock, granted } = this.#around
    const lock = recorder.watch(createLock(key, ttl), key, ttl)
    try {
      if (!(await lock.acquire())) throw new Error('refused without a reason')
    } catch {
      // The history has it. Don't hammer a store that is down.
      await sleep(10)
      return undefined
    }
    granted()
    return lock
  }

  #ttlOf(manner: keyof typeof MANNERS): number | null {
    if (manner === 'prompt') return this.#around.order.ttl
    return manner === 'robbed' ? LONG : this.#around.random.integer(...SHORT)
  }

  async #work(lock: RecordedLock, manner: keyof typeof MANNERS): Promise<void> {
    const { order, random, giveBack } = this.#around
    if (manner === 'idle') return
    if (manner === 'followed' || manner === 'robbed') {
      if (manner === 'robbed') await this.#force(lock.key)
      const next = await this.#acquire(lock.key, order.ttl)
      if (next !== undefined) await this.#work(next, 'prompt')
      return this.#offer(lock)
    }
    if (manner !== 'later') {
      if (random.chance(0.3)) await sleep(random.integer(1, 4))
      await this.#offer(lock)
    }
    if (manner === 'prompt') return giveBack(lock)
    const remaining = Math.max(lock.lock.getRemainingTime()!, 0)
    await sleep(remaining + random.integer(1, OVERDUE + 2 * order.delay))
    await this.#offer(lock)
  }

  async #offer({ key, owner, token = '0' }: RecordedLock): Promise<void> {
    const { recorder, storage } = this.#around
    const about = { process: recorder.process, key, owner, token, call: ++this.#calls }
    const write = (
      kind: 'offering' | 'accepted' | 'denied' | 'offer-failed',
      more: Partial<FencingEvent> = {}
    ) => recorder.write({ ...about, ...more, kind, at: now() } as FencingEvent)
    write('offering')
    try {
      write((await storage.write(key, token)) ? 'accepted' : 'denied')
    } catch (error) {
      write('offer-failed', wordsOf(error))
    }
  }

  async #force(key: string): Promise<void> {
    const { recorder, createLock } = this.#around
    const about = { process: recorder.process, key, call: ++this.#calls }
    recorder.write({ ...about, kind: 'forcing', at: now() })
    try {
      await createLock(key, null).forceRelease()
      recorder.write({ ...about, kind: 'forced', at: now() })
    } catch (error) {
      recorder.write({ ...about, ...wordsOf(error), kind: 'force-failed', at: now() })
    }
  }
}
