/**
 * The stores that the contract is tested with: each rule is written once and runs for all of them.
 */
import { setImmediate as turn } from 'node:timers/promises'

import { test } from '@japa/runner'
import { E_LOCK_NOT_OWNED, LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import type { LockFactoryOptions, LockStore } from 'loquet/types'

/**
 * A synchronous store as somebody would write it.
 */
export class SyncStore implements LockStore {
  /** The arguments of each call of `save`, and when it came. */
  readonly saves: { key: string; owner: string; ttl: number | null; at: number }[] = []
  /** The arguments of each call of `delete`. */
  readonly deletes: [key: string, owner: string][] = []
  /** How many calls of any method there were. */
  calls = 0

  protected readonly table = new Map<string, { owner: string; endsAt: number }>()
  /** The last fencing token of each key. */
  readonly tokens = new Map<string, bigint>()

  save(key: string, owner: string, ttl: number | null): boolean {
    this.calls++
    this.saves.push({ key, owner, ttl, at: performance.now() })
    if (this.holderOf(key) !== undefined) return false
    this.table.set(key, {
      owner,
      endsAt: ttl === null ? Number.POSITIVE_INFINITY : this.now() + ttl,
    })
    return true
  }

  saveFenced(key: string, owner: string, ttl: number | null): bigint | false {
    if (!this.save(key, owner, ttl)) return false
    const [next, now] = [(this.tokens.get(key) ?? 0n) + 1n, BigInt(Date.now()) * 1000n]
    const token = next > now ? next : now
    this.tokens.set(key, token)
    return token
  }

  delete(key: string, owner: string): void {
    this.calls++
    this.deletes.push([key, owner])
    if (this.holderOf(key) !== owner) throw new E_LOCK_NOT_OWNED()
    this.table.delete(key)
  }

  forceDelete(key: string): void {
    this.calls++
    this.table.delete(key)
  }

  exists(key: string): boolean {
    this.calls++
    return this.holderOf(key) !== undefined
  }

  extend(key: string, owner: string, duration: number): void {
    this.calls++
    if (this.holderOf(key) !== owner) throw new E_LOCK_NOT_OWNED()
    this.table.set(key, { owner, endsAt: this.now() + duration })
  }

  /** Who holds the key, as seen from outside the product. */
  holderOf(key: string): string | undefined {
    const entry = this.table.get(key)
    return entry !== undefined && this.isLive(entry.endsAt) ? entry.owner : undefined
  }

  protected isLive(endsAt: number): boolean {
    return this.now() < endsAt
  }

  /** Exact, since whole milliseconds would make a lease up to one shorter than was asked for. */
  protected now(): number {
    return performance.now()
  }
}

/**
 * A store whose methods answer a little later, as one over a network does: before and after the change itself there is
 * a pause.
 */
export class AsyncStore implements LockStore {
  readonly table = new SyncStore()

  async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    return this.later(() => this.table.save(key, owner, ttl))
  }

  async saveFenced(key: string, owner: string, ttl: number | null): Promise<bigint | false> {
    return this.later(() => this.table.saveFenced(key, owner, ttl))
  }

  async delete(key: string, owner: string): Promise<void> {
    return this.later(() => this.table.delete(key, owner))
  }

  async forceDelete(key: string): Promise<void> {
    return this.later(() => this.table.forceDelete(key))
  }

  async exists(key: string): Promise<boolean> {
    return this.later(() => this.table.exists(key))
  }

  async extend(key: string, owner: string, duration: number): Promise<void> {
    return this.later(() => this.table.extend(key, owner, duration))
  }

  protected async later<T>(change: () => T): Promise<T> {
    await turn()
    const answer = change()
    await turn()
    return answer
  }
}

/** Somebody who overrides a method wants it to be called, so this store is driven through its methods. */
export class CountingMemoryStore extends MemoryStore {
  saves = 0

  override async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    this.saves++
    return super.save(key, owner, ttl)
  }
}

/** A store of the table, and what sets it apart. */
export interface StoreUnderTest {
  name: string
  /** Driven by the native engine, not through the store's methods. */
  isNative: boolean
  /** Whether it has `saveFenced`. */
  isFenced: boolean
  /** Whether calls are performed in the order in which they are made. */
  isOrdered: boolean
  createStore: () => LockStore
  /** A factory over a store of its own. */
  createFactory: (options?: LockFactoryOptions) => LockFactory
}

/** What is registered for every store. */
export interface Section {
  /** What the tests are about. */
  section: string
  /** Registers the tests for one store. */
  define: (store: StoreUnderTest) => void
}

/** While sections are collected they are kept here, and nothing is registered. */
let collected: Section[] | undefined

let spaces = 0

const STORES: [name: string, isNative: boolean, createStore: () => LockStore][] = [
  ['memory store', true, () => new MemoryStore()],
  ['shared memory store', true, () => new MemoryStore({ shared: `space ${++spaces}` })],
  ['asynchronous custom store', false, () => new AsyncStore()],
  ['synchronous custom store', false, () => new SyncStore()],
  ['memory store with an overridden method', false, () => new CountingMemoryStore()],
]

/**
 * Registers tests for every store.
 *
 * @param section - What the tests are about
 * @param define - Registers the tests for one store
 */
export function forEachStore(section: string, define: (store: StoreUnderTest) => void): void {
  if (collected !== undefined) {
    collected.push({ section, define })
    return
  }
  for (const [name, isNative, createStore] of STORES) {
    test.group(`${section} | ${name}`, () =>
      define({
        name,
        isNative,
        isFenced: 'saveFenced' in createStore(),
        isOrdered: true,
        createStore,
        createFactory: (options) => new LockFactory(createStore(), options),
      })
    )
  }
}

/**
 * Reads spec files without registering anything.
 *
 * @param files - Their names in this folder, without the ending
 * @returns What they would have registered for every store; their other tests are left out
 */
export async function collectSections(files: string[]): Promise<Section[]> {
  const { group } = test
  const sections: Section[] = []
  test.group = (() => {}) as never
  try {
    for (const file of files) {
      collected = sections
      // A copy of the module: the file itself may be part of this run, too.
      await import(`./${file}.spec.js?collected=${Math.random()}`)
    }
  } finally {
    collected = undefined
    test.group = group
  }
  return sections
}
