/**
 * What happened to locks, written down by everybody who used them: tasks, threads and processes, killed ones included.
 * `check` of checker.ts says whether it was right.
 *
 * All times are milliseconds by one clock: that of `process.hrtime`, which all processes of a machine share (on Linux
 * CLOCK_MONOTONIC). Each event is in its file before the recorder's call returns, so a SIGKILL loses none of them.
 *
 * A lease is known by its key and owner, so each acquisition needs a lock object of its own.
 */
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The present moment. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** What an event says of a lease. */
export interface LeaseEvent {
  kind:
    /** An acquire is about to be called. */
    | 'asked'
    /** It has resolved to `true`. `until`: to when the holder believes that its lease lasts. */
    | 'granted'
    /** It has resolved to `false`, or was aborted. */
    | 'refused'
    /** It has rejected. */
    | 'ask-failed'
    /** A release is about to be called. */
    | 'releasing'
    | 'released'
    | 'release-failed'
    /** An extend is about to be called. */
    | 'extending'
    /** `until`: to when the holder believes that its lease lasts now. */
    | 'extended'
    | 'extend-failed'
  /** When: before what is about to happen, after what has happened. */
  at: number
  process: string
  key: string
  owner: string
  /** The TTL of an `asked` or `extending`; `null` for ever. */
  ttl?: number | null
  /** `null` for ever. */
  until?: number | null
  /** The fencing token of a `granted`, in digits. */
  token?: string
  /** The code of the error, or its name. */
  code?: string
  /** The error in words. */
  message?: string
}

/** What happened to others than leases. */
export type WorldEvent =
  /** A process has gone without a word. Nothing that it did comes later. */
  | { kind: 'died'; at: number; process: string }
  /** The store lost what it knew, or some of it, somewhen between `from` and `at`. */
  | { kind: 'forgot'; from: number; at: number }
  /** Somebody has written, under the lease, that what the key protects has this value now, one more than it was. */
  | { kind: 'wrote'; at: number; process: string; key: string; owner: string; value: number }
  /** The store had the key, for that owner, though everybody was done. */
  | { kind: 'found'; at: number; key: string; owner?: string }

export type HistoryEvent = LeaseEvent | WorldEvent

/** What happens where locks are fenced, besides. `call` tells the calls of a process apart. */
export type FencingEvent = {
  at: number
  process: string
  key: string
  call: number
  code?: string
  message?: string
} & (
  | {
      kind:
        /** The key is about to be freed by force, whoever holds it. */
        | 'forcing'
        /** It has been. */
        | 'forced'
        | 'force-failed'
    }
  | {
      kind:
        /** The holder of the token, if it still holds the lock, is about to write to a storage that compares. */
        | 'offering'
        /** It has written. */
        | 'accepted'
        /** The storage had seen a greater token. */
        | 'denied'
        | 'offer-failed'
      owner: string
      token: string
    }
)

/** What is recorded of a lock; locks of loquet and of Verrou have it. */
export interface RecordableLock {
  acquire(options?: object): Promise<boolean>
  release(): Promise<void>
  extend(ttl?: number): Promise<void>
  getOwner(): string
  getRemainingTime(): number | null
  /** loquet's have it. */
  readonly fencingToken?: bigint | null
}

/** Writes the events of one process. */
export class Recorder {
  readonly process: string
  readonly #file: number
  #isClosed = false

  /**
   * @param folder - Where a `History` is
   * @param process - A name that nobody else has
   */
  constructor(folder: string, process: string) {
    this.process = process
    this.#file = openSync(join(folder, `${process}.jsonl`), 'ax')
  }

  write(event: HistoryEvent | FencingEvent): void {
    // What comes too late must not end up in a file that has got the same number.
    if (this.#isClosed) return
    writeSync(this.#file, `${JSON.stringify(event)}\n`)
  }

  /** Records what is done with a lock that has not been acquired yet, or that was restored. */
  watch(lock: RecordableLock, key: string, ttl: number | null): RecordedLock {
    return new RecordedLock(this, lock, key, ttl)
  }

  close(): void {
    this.#isClosed = true
    closeSync(this.#file)
  }
}

/** A lock whose calls are recorded. */
export class RecordedLock {
  readonly lock: RecordableLock
  readonly key: string
  readonly owner: string
  /** Whether it has been granted and not given back, as far as the calls here tell. */
  isHeld = false
  readonly #recorder: Recorder
  readonly #ttl: number | null

  constructor(recorder: Recorder, lock: RecordableLock, key: string, ttl: number | null) {
    this.lock = lock
    this.key = key
    this.owner = lock.getOwner()
    this.#recorder = recorder
    this.#ttl = ttl
  }

  /** Its fencing token in digits, if it has one. */
  get token(): string | undefined {
    return this.lock.fencingToken?.toString()
  }

  /** @throws what the lock's own `acquire` throws */
  async acquire(options?: object): Promise<boolean> {
    this.#write('asked', { ttl: this.#ttl })
    let isGranted: boolean
    try {
      isGranted = await this.lock.acquire(options)
    } catch (error) {
      this.#write('ask-failed', wordsOf(error))
      throw error
    }
    this.isHeld = isGranted
    if (isGranted) this.#write('granted', { ...this.#believed(), token: this.token })
    else this.#write('refused')
    return isGranted
  }

  /** @throws what the lock's own `release` throws */
  async release(): Promise<void> {
    this.#write('releasing')
    try {
      await this.lock.release()
    } catch (error) {
      this.#write('release-failed', wordsOf(error))
      throw error
    }
    this.isHeld = false
    this.#write('released')
  }

  /** @throws what the lock's own `extend` throws */
  async extend(ttl: number): Promise<void> {
    this.#write('extending', { ttl })
    try {
      await this.lock.extend(ttl)
    } catch (error) {
      this.#write('extend-failed', wordsOf(error))
      throw error
    }
    this.#write('extended', this.#believed())
  }

  /** The clock is read first, so that the lease is not believed to be longer than the lock says. */
  #believed(): { until: number | null } {
    const at = now()
    const remaining = this.lock.getRemainingTime()
    return { until: remaining === null ? null : at + remaining }
  }

  #write(kind: LeaseEvent['kind'], more: Partial<LeaseEvent> = {}): void {
    const { key, owner } = this
    this.#recorder.write({ kind, at: now(), process: this.#recorder.process, key, owner, ...more })
  }
}

export function wordsOf(error: unknown): { code: string; message: string } {
  const { code, name, message } = error as { code?: unknown; name?: unknown; message?: unknown }
  // What an AbortSignal gives as its reason has a number for a code.
  return { code: String(typeof code === 'string' ? code : name), message: String(message) }
}

/** The recordings of all processes: a folder with a file of each. */
export class History {
  readonly folder: string

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'loquet-history-'))
  }

  /** Everything that was recorded, in the order of time. */
  read<Event extends { at: number } = HistoryEvent>(): Event[] {
    const events = readdirSync(this.folder).flatMap((file) => {
      const text = readFileSync(join(this.folder, file), 'utf8')
      // What comes after the last line's end is what somebody was killed over.
      const lines = text.split('\n').slice(0, -1)
      return lines.map((line) => JSON.parse(line) as Event)
    })
    return events.sort((one, other) => one.at - other.at)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
