/**
 * Programs that say what they do while they do it, and are told when to go on.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

import { until } from '../unit/observe.js'
import { fixture } from './processes.js'

/** What a program has said. */
export interface Said {
  what: string
  /** Milliseconds of the clock that all processes share; see `now` of `__test__/faults/history.ts`. */
  at: number
  [more: string]: any
}

/** A fixture that runs as a program of its own, and ends with the test at the latest. */
export class TalkingProgram {
  readonly said: Said[] = []
  readonly #child: ChildProcess
  readonly #name: string
  #stderr = ''
  /** How it ended. */
  ending: number | NodeJS.Signals | null = null

  constructor(name: string, args: string[]) {
    this.#name = `${name} ${args.slice(1).join(' ')}`
    this.#child = spawn(process.execPath, [fixture(name).pathname, ...args], {
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    createInterface(this.#child.stdout!).on('line', (line) => this.said.push(JSON.parse(line)))
    // It may have ended when it is told something.
    this.#child.stdin!.on('error', () => {})
    this.#child.on('close', (code, signal) => (this.ending = signal ?? code))
  }

  /**
   * Waits for it to say something that fits, one of several things.
   *
   * @throws Error if it ends before
   */
  async heard(what: string | string[], fits: (said: Said) => boolean = () => true): Promise<Said> {
    const words = [what].flat()
    let found: Said | undefined
    await until(() => {
      found = this.said.find((said) => words.includes(said.what) && fits(said))
      if (found === undefined && this.ending !== null) {
        const said = JSON.stringify(this.said)
        throw new Error(`${this.#name} ended with ${this.ending}, after ${said}:\n${this.#stderr}`)
      }
      return found !== undefined
    })
    return found!
  }

  /** Lets go on what waits to be told. */
  tell(): void {
    this.#child.stdin!.write('\n')
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Resolves when it has ended by itself. */
  async ended(): Promise<void> {
    await until(() => this.ending !== null)
    if (this.ending !== 0)
      throw new Error(`${this.#name} ended with ${this.ending}:\n${this.#stderr}`)
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await until(() => this.ending !== null)
  }
}
