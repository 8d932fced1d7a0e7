import { setMaxListeners } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'

import type { DynamoDbConnection } from '../../types/main.js'
import { attemptsOf, isRefusal, isTransient } from './service_errors.js'

/** Milliseconds between two tries: at first, and at most. */
const FIRST_PAUSE = 25
const LONGEST_PAUSE = 1_000

/** The part of a command of the SDK that is used here. */
interface Command<Output> {
  readonly middlewareStack: {
    add(
      middleware: (next: (args: never) => Promise<unknown>) => (args: never) => Promise<unknown>,
      options: object
    ): void
  }
  /** Only there to tell the type of the answer. */
  resolveMiddleware(...args: never[]): (...args: never[]) => Promise<{ output: Output }>
}

/**
 * A call of a store: some requests, with all of the SDK's tries and our own, that end together.
 */
export class Call {
  /** Whether something may have been done that nobody has told of. */
  isDoubtful = false
  /** What the latest try of the request under way ended with. */
  failure: unknown
  readonly #connection: DynamoDbConnection
  readonly #controller = new AbortController()
  /** On the monotonic clock. */
  readonly #deadline: number

  /**
   * @param millis - How long requests are tried again
   */
  constructor(connection: DynamoDbConnection, millis: number) {
    this.#connection = connection
    // There is one for each try, and nobody takes them away before the call ends.
    setMaxListeners(0, this.#controller.signal)
    this.#deadline = performance.now() + millis
  }

  /** Ends what is under way; nothing is sent any more. */
  end(): void {
    this.#controller.abort()
  }

  /**
   * Sends a request, and sends it again while that may help.
   *
   * @param create - Makes the command, for each time anew
   * @throws the SDK's error
   */
  async send<Output>(create: () => Command<Output>): Promise<Output> {
    const { signal } = this.#controller
    for (let delay = FIRST_PAUSE; ; delay = Math.min(delay * 2, LONGEST_PAUSE)) {
      try {
        return await this.#sendOnce(create())
      } catch (error) {
        this.failure = error
        const millis = delay * (0.5 + Math.random() / 2)
        const isLate = signal.aborted || performance.now() + millis > this.#deadline
        if (isLate || !isTransient(error)) {
          this.failure = undefined
          throw error
        }
        // Who waits for the call keeps the process alive.
        await pause(millis, undefined, { ref: false, signal })
      }
    }
  }

  async #sendOnce<Output>(command: Command<Output>): Promise<Output> {
    const { signal } = this.#controller
    signal.throwIfAborted()
    let tries = 0
    let isInFlight = false
    // Within the SDK's retries and around what makes errors of replies: so it sees how each try ends.
    command.middlewareStack.add(
      (next) => async (args) => {
        tries++
        isInFlight = true
        try {
          return await next(args)
        } catch (error) {
          this.failure = error
          if (!isRefusal(error)) this.isDoubtful = true
          throw error
        } finally {
          isInFlight = false
        }
      },
      { step: 'deserialize', priority: 'high', name: 'loquetTries' }
    )
    try {
      // Not every client heeds the signal at once.
      const ended = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      })
      ended.catch(() => {})
      const sent = this.#connection.send(command, { abortSignal: signal })
      const answer = await Promise.race([sent, ended])
      if (tries === 0 && attemptsOf(answer) > 1) this.isDoubtful = true
      return answer as Output
    } catch (error) {
      // Without any tries it is a double that knows no middleware, or nothing has been sent.
      const isUnseen = tries === 0 && (attemptsOf(error) > 1 || !isRefusal(error))
      if (isInFlight || isUnseen) this.isDoubtful = true
      throw error
    } finally {
      this.failure = undefined
    }
  }
}
