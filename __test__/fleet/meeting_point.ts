/**
 * What the members of a fleet share apart from locks: a folder. No server in between can delay what is written there, or
 * forget it.
 */
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export class MeetingPoint {
  readonly #folder: string
  /** Who writes, so that a file of it is nobody else's. */
  readonly #name: string
  #handed = 0

  constructor(folder: string, name: string) {
    this.#folder = folder
    this.#name = name
  }

  /** The counter that a key protects. */
  count(key: string): number {
    return Number(read(this.#counter(key)) ?? 0)
  }

  /** At once and as a whole, whenever this process is killed. */
  setCount(key: string, value: number): void {
    const draft = join(this.#folder, `draft-${this.#name}`)
    writeFileSync(draft, String(value))
    renameSync(draft, this.#counter(key))
  }

  /** Leaves a line for a member: in a file of its own, since what is added to one that is being taken may be lost. */
  hand(to: string, line: string): void {
    const draft = join(this.#folder, `draft-${this.#name}`)
    writeFileSync(draft, line)
    renameSync(draft, join(this.#folder, `handed-${to}-by-${this.#name}-${++this.#handed}`))
  }

  /** Takes all lines that have been left for this member. */
  take(): string[] {
    const files = readdirSync(this.#folder).filter((file) =>
      file.startsWith(`handed-${this.#name}-by-`)
    )
    return files.map((file) => {
      const path = join(this.#folder, file)
      const line = readFileSync(path, 'utf8')
      rmSync(path)
      return line
    })
  }

  #counter(key: string): string {
    return join(this.#folder, `counter-${encodeURIComponent(key)}`)
  }
}

/** The sum of all counters of a folder. */
export function countedIn(folder: string): number {
  return readdirSync(folder)
    .filter((file) => file.startsWith('counter-'))
    .reduce((sum, file) => sum + Number(read(join(folder, file))), 0)
}
