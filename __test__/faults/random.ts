/**
 * Random numbers that come again: a test that fails names its seed, and `LOQUET_SEED` runs it once more.
 */
import { randomInt } from 'node:crypto'

/** Random numbers of one seed. */
export class Random {
  #state: number

  /**
   * @param seed - A 32-bit number
   * @param stream - Different streams of one seed have nothing to do with each other
   */
  constructor(seed: number, stream = 0) {
    this.#state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35)) | 0
    // Neighbouring seeds begin alike without it.
    for (let i = 0; i < 4; i++) this.fraction()
  }

  /** From 0 inclusive to 1 exclusive (mulberry32). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  /** An integer, both ends included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.fraction() * (to - from + 1))
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)]
  }

  /** One of the names, as often as their weights say. */
  weighted<Name extends string>(weights: Readonly<Partial<Record<Name, number>>>): Name {
    const entries = Object.entries(weights) as [Name, number][]
    let rest = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      rest -= weight
      if (rest < 0) return name
    }
    return entries[entries.length - 1][0]
  }
}

/**
 * Runs something random. What it throws names the seed; `LOQUET_SEED` sets it.
 */
export async function withSeed<T>(run: (seed: number) => Promise<T>): Promise<T> {
  const given = process.env.LOQUET_SEED
  const seed = given === undefined ? randomInt(2 ** 31) : Number(given)
  try {
    return await run(seed)
  } catch (error) {
    if (error instanceof Error) error.message += `\n(run it again with LOQUET_SEED=${seed})`
    throw error
  }
}
