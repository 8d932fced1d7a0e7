import { StoreEngine } from './store_engine.js'
import type { LockEngine } from './lease.js'
import { spaceEngineOf } from '../drivers/memory.js'
import { assertStore } from '../validation.js'
import type { LockStore } from '../types/main.js'

/** One engine for each store, so that all locks on it queue together, whichever factory made them. */
const engines = new WeakMap<LockStore, LockEngine>()

/**
 * The engine that drives a store: the native one for a native store, otherwise one that calls the store's methods.
 *
 * @throws InvalidArgumentsException if it lacks a method of a store
 */
export function engineOf(store: LockStore): LockEngine {
  let engine = engines.get(store)
  if (engine === undefined) {
    assertStore(store, 'lock store')
    engine = spaceEngineOf(store) ?? new StoreEngine(store)
    engines.set(store, engine)
  }
  return engine
}
