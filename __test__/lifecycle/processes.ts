/**
 * Programs and threads that the specs start, watch and talk to.
 */
import { spawn } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import type { AutoExtendOptions, RetryConfig, SerializedLock } from 'loquet/types'

/** The absolute URL of a fixture. */
export function fixture(name: string): URL {
  return new URL(`./fixtures/${name}`, import.meta.url)
}

/** How a program ended. */
export interface Ending {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** Milliseconds from start to end. */
  took: number
}

export interface ProgramOptions {
  args?: string[]
  /** Flags for Node.js itself. */
  flags?: string[]
  env?: NodeJS.ProcessEnv
  /** Milliseconds after which it is killed: then `signal` is SIGKILL. */
  limit?: number
}

/**
 * Runs a fixture as a program of its own, so that a crash is seen as its exit code or signal.
 */
export function runProgram(name: string, options: ProgramOptions = {}): Promise<Ending> {
  const { args = [], flags = [], env = {}, limit = 50_000 } = options
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...flags, fixture(name).pathname, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limit,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr, took: performance.now() - startedAt })
    })
  })
}

/** Starts a fixture as a worker thread, without the flags of the test runner. */
export function startWorker(name: string, workerData: unknown): Worker {
  return new Worker(fixture(name), { workerData, execArgv: [] })
}

/** Resolves when a worker has ended by itself; rejects if it failed. */
export function ended(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', resolve)
  })
}

/** What an acquire in another thread came to. */
export interface Acquired {
  granted: boolean
  /** When it was asked for and when it was answered, by `Date.now()`. */
  from: number
  to: number
}

export interface AcquireOrder {
  key: string
  ttl?: number | null
  retry?: RetryConfig
  autoExtend?: boolean | AutoExtendOptions
  /** Milliseconds for which the thread does nothing else once it has the lock. */
  thenBlock?: number
}

/**
 * A thread that acquires and releases what it is told to, on a shared memory store. Locks are known by a name of the
 * caller's choice.
 */
export class RemoteThread {
  readonly #worker: Worker
  readonly #calls = new Map<number, { resolve(value: never): void; reject(error: Error): void }>()
  #lastCall = 0

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.on('message', ({ call, result, failure }) => {
      const pending = this.#calls.get(call)
      this.#calls.delete(call)
      if (failure === undefined) pending?.resolve(result as never)
      else pending?.reject(Object.assign(new Error(failure.message), { code: failure.code }))
    })
    worker.on('error', (error) => this.#fail(error))
    worker.on('exit', () => this.#fail(new Error('the thread has ended')))
  }

  /**
   * @param shared - The name of the lock space; a private one without it
   */
  static async start(shared?: string): Promise<RemoteThread> {
    const thread = new RemoteThread(startWorker('thread.mjs', { shared }))
    await thread.#call('census')
    return thread
  }

  acquire(name: string, order: AcquireOrder): Promise<Acquired> {
    return this.#call('acquire', name, order)
  }

  /** Sends an acquire and resolves, to its result, once the store knows of it. */
  async enqueue(name: string, order: AcquireOrder): Promise<{ result: Promise<Acquired> }> {
    const result = this.acquire(name, order)
    result.catch(() => {})
    // Calls are answered in order as far as the store has been asked.
    await this.#call('census')
    return { result }
  }

  release(name: string): Promise<void> {
    return this.#call('release', name)
  }

  forceRelease(name: string): Promise<void> {
    return this.#call('forceRelease', name)
  }

  extend(name: string, ttl?: number): Promise<void> {
    return this.#call('extend', name, ttl)
  }

  serialize(name: string): Promise<SerializedLock> {
    return this.#call('serialize', name)
  }

  restore(name: string, lock: SerializedLock): Promise<void> {
    return this.#call('restore', name, lock)
  }

  remainingTime(name: string): Promise<number | null> {
    return this.#call('getRemainingTime', name)
  }

  isHeld(name: string): Promise<boolean> {
    return this.#call('isHeld', name)
  }

  /** The reason of the signal. */
  whyLost(name: string): Promise<string | undefined> {
    return this.#call('whyLost', name)
  }

  census(): Promise<{ leases: number; waiters: number }> {
    return this.#call('census')
  }

  /** Ends the waits of the thread. */
  close(): Promise<void> {
    return this.#call('close')
  }

  /** Does nothing, synchronously; resolves as soon as that has begun. */
  block(millis: number): Promise<void> {
    return this.#call('block', millis)
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  #call<T>(method: string, ...args: unknown[]): Promise<T> {
    const call = ++this.#lastCall
    return new Promise<T>((resolve, reject) => {
      this.#calls.set(call, { resolve, reject })
      this.#worker.postMessage({ call, method, args })
    })
  }

  #fail(error: Error): void {
    for (const { reject } of this.#calls.values()) reject(error)
    this.#calls.clear()
  }
}
