import { shared } from '../copies.js'
import type { Logger, LockStore } from '../types/main.js'
import type { LockEngine } from './lease.js'

/**
 * What the core asks of a store that brings an engine of its own, or has something to say before it is used.
 */
export interface NativeStore {
  /** The engine; nothing if the store's methods are to be called. */
  engine(): LockEngine | undefined
  /** Tells what the user should know of the store. The first call counts; later ones do nothing. */
  announce(logger: Logger): void
}

/** Those of all copies of the package. */
export const nativeStores = shared('native stores', () => new WeakMap<LockStore, NativeStore>())
