/**
 * `LockStore` and who may be one: the memory store, and what people write themselves.
 */
import { test } from '@japa/runner'
import pino from 'pino'
import { LockFactory, Verrou } from 'loquet'
import { MemoryStore, memoryStore } from 'loquet/drivers/memory'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { Group } from '@japa/runner/core'
import type { Logger as AdonisLogger } from '@adonisjs/core/logger'
import type * as verrou from '@verrou/core/types'
import type { MemoryStoreOptions } from 'loquet/drivers/memory'
import type { StoreTestSuiteOptions } from 'loquet/test_suite'
import type { LockStore, Logger, StoreFactory } from 'loquet/types'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'

/** Methods may be asynchronous, */
export class AsyncStore implements LockStore {
  async save(_key: string, _owner: string, _ttl: number | null): Promise<boolean> {
    return true
  }
  async delete(_key: string, _owner: string): Promise<void> {}
  async forceDelete(_key: string): Promise<void> {}
  async exists(_key: string): Promise<boolean> {
    return false
  }
  async extend(_key: string, _owner: string, _duration: number): Promise<void> {}
}

/** synchronous, */
export class SyncStore implements LockStore {
  save(_key: string, _owner: string, _ttl: number | null): boolean {
    return true
  }
  delete(_key: string, _owner: string): void {}
  forceDelete(_key: string): void {}
  exists(_key: string): boolean {
    return false
  }
  extend(_key: string, _owner: string, _duration: number): void {}
}

/** now one and now the other, and need not take what they don't use. */
export class MixedStore implements LockStore {
  save(): Promise<boolean> | boolean {
    return Math.random() < 0.5 || Promise.resolve(true)
  }
  delete(): void {}
  async forceDelete() {}
  exists() {
    return false
  }
  async extend() {}
}

/** Whoever gives fencing tokens gives BigInts, at once or later. */
export class FencedStore extends SyncStore implements LockStore {
  readonly fencing = true
  saveFenced(_key: string, _owner: string, ttl: number | null): bigint | false {
    return ttl === null && 1n
  }
}

export class NumberedStore extends SyncStore implements LockStore {
  // @ts-expect-error A token is a BigInt.
  async saveFenced(): Promise<number> {
    return 1
  }
}

export class ForgetfulStore implements LockStore {
  // @ts-expect-error Whether the lock was saved has to be told.
  save(): void {}
  delete(): void {}
  forceDelete(): void {}
  exists() {
    return false
  }
  extend(): void {}
}

// @ts-expect-error `extend` is missing.
export class IncompleteStore implements LockStore {
  save() {
    return true
  }
  delete(): void {}
  forceDelete(): void {}
  exists() {
    return false
  }
}

check<Equal<Parameters<LockStore['save']>, [key: string, owner: string, ttl: number | null]>>()
check<Equal<ReturnType<LockStore['save']>, Promise<boolean> | boolean>>()
check<Equal<Parameters<LockStore['delete']>, [key: string, owner: string]>>()
check<Equal<Parameters<LockStore['forceDelete']>, [key: string]>>()
check<Equal<Parameters<LockStore['exists']>, [key: string]>>()
check<Equal<Parameters<LockStore['extend']>, [key: string, owner: string, duration: number]>>()
check<Equal<StoreFactory, { driver: { factory: () => LockStore } }>>()

/** All of them can be used wherever a store is wanted; a store of the peer as well. */
export const accepted = [
  new AsyncStore(),
  new SyncStore(),
  new MixedStore(),
  new MemoryStore(),
  some<verrou.LockStore>(),
].map((store) => new LockFactory(store))
export const theirs: StoreFactory = some<verrou.StoreFactory>()

/** The memory store is a store of ours and of the peer; calling it directly gives promises. */
export const own: LockStore = new MemoryStore()
export const peers: verrou.LockStore = new MemoryStore({ shared: 'name' })
check<Equal<ReturnType<MemoryStore['save']>, Promise<boolean>>>()
check<Equal<ReturnType<MemoryStore['delete']>, Promise<void>>>()
check<Equal<ReturnType<MemoryStore['forceDelete']>, Promise<void>>>()
check<Equal<ReturnType<MemoryStore['exists']>, Promise<boolean>>>()
check<Equal<ReturnType<MemoryStore['extend']>, Promise<void>>>()
check<Equal<ReturnType<typeof memoryStore>, { factory: () => MemoryStore }>>()
check<Equal<Parameters<typeof memoryStore>, [options?: MemoryStoreOptions]>>()
check<Equal<ConstructorParameters<typeof MemoryStore>, [options?: MemoryStoreOptions]>>()
check<Equal<MemoryStoreOptions, { shared?: string; fencing?: boolean }>>()
check<Equal<ReturnType<MemoryStore['saveFenced']>, Promise<bigint | false>>>()
check<Equal<MemoryStore['fencing'], boolean>>()
// @ts-expect-error A lock space has a name.
memoryStore({ shared: true })
// @ts-expect-error There is nothing else to set.
memoryStore({ maximum: 10 })

/** Any logger that people have will do. */
export const loggers = [pino(), some<AdonisLogger>(), some<Logger>()].map(
  (logger) =>
    new Verrou({ default: 'memory', stores: { memory: { driver: memoryStore() } }, logger })
)
export const peersLogger: Logger = some<verrou.ResolvedLockConfig['logger']>()
// @ts-expect-error The console has no children.
export const consoleLogger: Logger = console
// @ts-expect-error A function isn't a logger.
export const functionLogger: Logger = (message: string) => message

/** The suite for custom stores. */
check<Equal<Parameters<typeof registerStoreTestSuite>, [options: StoreTestSuiteOptions]>>()
check<
  Equal<
    StoreTestSuiteOptions,
    {
      test: typeof test
      createStore: () => LockStore | Promise<LockStore>
      configureGroup?: (group: Group) => void
    }
  >
>()
export function suites() {
  registerStoreTestSuite({ test, createStore: () => new SyncStore() })
  registerStoreTestSuite({
    test,
    createStore: async () => new AsyncStore(),
    configureGroup: (group) => group.each.setup(() => () => {}),
  })
  // @ts-expect-error The store is made by a function.
  registerStoreTestSuite({ test, createStore: new SyncStore() })
}
