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

/** Known to this copy of the package only; one that was made by another copy is used through its methods. */
export const nativeStores = new WeakMap<LockStore, NativeStore>()
