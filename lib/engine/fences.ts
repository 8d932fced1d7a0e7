import type { LockStore } from '../types/main.js'
import { invalid } from '../validation.js'
import type { Wait } from './wait.js'

/** Acquires under way for one owner of one key; more than one only where the owner isn't unique. */
interface Fence {
  acquires: number
  /** What the store has given with the latest save that got the lock. */
  token: number | undefined
}

/**
 * The fenced acquires of a store that are under way, and the tokens that the store has given them.
 */
export class Fences {
  readonly #fences = new Map<string, Fence>()

  /** A fenced acquire begins. */
  begin(key: string, owner: string): void {
    const id = idOf(key, owner)
    const fence = this.#fences.get(id)
    if (fence === undefined) this.#fences.set(id, { acquires: 1, token: undefined })
    else fence.acquires++
  }

  /** An acquire has ended. Returns the token of what it was granted, if it was fenced. */
  end({ isFenced, key, owner }: Wait): number | undefined {
    if (!isFenced) return undefined
    const id = idOf(key, owner!)
    const fence = this.#fences.get(id)
    if (fence === undefined) return undefined
    if (--fence.acquires === 0) this.#fences.delete(id)
    return fence.token
  }

  /** Whether what is saved for the owner has to be fenced. */
  has(key: string, owner: string): boolean {
    return this.#fences.size > 0 && this.#fences.has(idOf(key, owner))
  }

  /**
   * Keeps what `saveFenced` has answered, for as long as somebody waits for it.
   *
   * @returns Whether the lock was acquired
   * @throws InvalidArgumentsException if it is neither a token nor `false`; the lock is taken back
   */
  answered(key: string, owner: string, answer: bigint | false, store: LockStore): boolean {
    if (answer === false) return false
    if (!isToken(answer)) {
      takeBack(store, key, owner)
      throw invalid(
        "answer of the lock store's method saveFenced",
        'a fencing token (a positive bigint below 2^53), or false',
        answer
      )
    }
    const fence = this.#fences.get(idOf(key, owner))
    if (fence !== undefined) fence.token = Number(answer)
    return true
  }
}

function isToken(answer: unknown): answer is bigint {
  return typeof answer === 'bigint' && answer > 0n && answer <= Number.MAX_SAFE_INTEGER
}

/** Nobody will hear of the lock if there is one, so it would stay until it expires. */
function takeBack(store: LockStore, key: string, owner: string): void {
  try {
    Promise.resolve(store.delete(key, owner)).catch(() => {})
  } catch {
    // There was none.
  }
}

function idOf(key: string, owner: string): string {
  return `${owner.length} ${owner}${key}`
}
