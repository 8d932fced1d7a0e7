import { native } from '../native.js'

/** While the machine is suspended timers stand still, but leases go on ageing: none is late for longer; milliseconds. */
const LONGEST_TIMEOUT = 10_000

/**
 * One timer for all deadlines of an engine. It never keeps the process alive: what waits does that by its ticket.
 */
export class DeadlineTimer {
  #timer: NodeJS.Timeout | undefined
  #armedFor = Number.POSITIVE_INFINITY
  readonly #onDue: () => void

  /**
   * @param onDue - Called at the deadline, or a little earlier; arms the timer again if it was too early
   */
  constructor(onDue: () => void) {
    this.#onDue = onDue
  }

  /**
   * @param deadline - Milliseconds of the addon's clock; `Infinity` for none
   */
  arm(deadline: number): void {
    if (deadline === Number.POSITIVE_INFINITY) {
      this.#disarm()
    } else if (deadline < this.#armedFor) {
      // A later deadline leaves the timer as it is: it fires, finds nothing due and is armed for what is.
      this.#disarm()
      this.#armedFor = deadline
      const pause = Math.min(Math.max(Math.ceil(deadline - native.now()), 0), LONGEST_TIMEOUT)
      this.#timer = setTimeout(() => this.#fire(), pause).unref()
    }
  }

  #fire(): void {
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
    this.#onDue()
  }

  #disarm(): void {
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }
}
