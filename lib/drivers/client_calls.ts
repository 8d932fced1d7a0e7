import { setTimeout as pause } from 'node:timers/promises'

import { markOutOfTime } from '../engine/out_of_time.js'
import { E_LOCK_STORAGE_ERROR } from '../errors.js'

/** Pauses between attempts to take an acquisition back, and for how long it is attempted; in milliseconds. */
const UNDO_PAUSE = 100
const LONGEST_UNDO_PAUSE = 2_000
const UNDO_LIMIT = 30_000

/**
 * The calls that a store makes over a client of the app: each ends in time, what goes wrong is a storage error, and an
 * acquisition that may have succeeded without anybody's knowing is taken back.
 */
export class ClientCalls {
  readonly #server: string
  /** Acquisitions that are being taken back, by owner. */
  readonly #undoing = new Map<string, Promise<void>>()

  /**
   * @param server - Who is asked, as in "no answer from …"
   */
  constructor(server: string) {
    this.#server = server
  }

  /**
   * Waits for an answer. What is under way isn't stopped by the end of the wait.
   *
   * @param millis - How long
   * @throws E_LOCK_STORAGE_ERROR if there is none in time, or if it is an error
   */
  async answer<T>(millis: number, performed: Promise<T>): Promise<T> {
    const startedAt = performance.now()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const text = `no answer from ${this.#server} within ${millis} ms`
      timer = setTimeout(() => reject(new Error(text)), millis)
    })
    try {
      return await Promise.race([performed, late])
    } catch (cause) {
      const error =
        cause instanceof E_LOCK_STORAGE_ERROR
          ? cause
          : new E_LOCK_STORAGE_ERROR([cause instanceof Error ? cause : String(cause)], { cause })
      // Clients that try again by themselves stop a little earlier.
      if (performance.now() - startedAt >= millis / 2) markOutOfTime(error)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends when nothing takes back what is saved for the owner from then on. */
  async untouched(owner: string): Promise<void> {
    await this.#undoing.get(owner)
  }

  /**
   * Takes back an acquisition that failed, whatever has become of it.
   *
   * @param saving - The acquisition. What still waits for a connection would be performed after what takes it back, so it
   * has to end first
   * @param isRefusal - Whether an error of it says that nothing has been done
   * @param release - Frees the lock if the owner holds it; tried again, for 30 s, while it fails
   */
  undo(
    owner: string,
    saving: Promise<boolean>,
    isRefusal: (error: unknown) => boolean,
    release: () => Promise<unknown>
  ): void {
    const undoing = this.#takeBack(saving, isRefusal, release).finally(() => {
      if (this.#undoing.get(owner) === undoing) this.#undoing.delete(owner)
    })
    this.#undoing.set(owner, undoing)
  }

  async #takeBack(
    saving: Promise<boolean>,
    isRefusal: (error: unknown) => boolean,
    release: () => Promise<unknown>
  ): Promise<void> {
    const isRefused = await saving.then((saved) => !saved, isRefusal)
    if (isRefused) return
    const last = performance.now() + UNDO_LIMIT
    for (let delay = UNDO_PAUSE; performance.now() < last;) {
      try {
        await release()
        return
      } catch {
        await pause(delay, undefined, { ref: false })
        delay = Math.min(delay * 2, LONGEST_UNDO_PAUSE)
      }
    }
  }
}
