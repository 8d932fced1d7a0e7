import { shared } from '../copies.js'
import { StoreEngine } from './store_engine.js'
import type { LockEngine } from './lease.js'
import { nativeStores } from './native_stores.js'
import { noopLogger } from '../logger.js'
import { assertStore } from '../validation.js'
import type { LockStore } from '../types/main.js'

/** One engine for each store, so that all locks on it queue together, whichever factory of whichever copy made them. */
const engines = shared('engines', () => new WeakMap<LockStore, LockEngine>())

/**
 * The engine that drives a store: the native one for a native store, otherwise one that calls the store's methods.
 *
 * @throws InvalidArgumentsException if it lacks a method of a store
 */
export function engineOf(store: LockStore): LockEngine {
  let engine = engines.get(store)
  if (engine === undefined) {
    assertStore(store, 'lock store')
    const nativeStore = nativeStores.get(store)
    // A factory has announced it already, with its logger. Whoever makes locks without one hears of it too.
    nativeStore?.announce(noopLogger)
    engine = nativeStore?.engine() ?? new StoreEngine(store)
    engines.set(store, engine)
  }
  return engine
}
