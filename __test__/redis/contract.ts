/**
 * The rules of the contract, as they are tested with every store, on Redis.
 */
import type { LockStore } from 'loquet/types'

import { registerContractFor } from '../contract/contract.js'
import { storeOf, TOPOLOGIES } from './topologies.js'
import type { Running, Topology } from './topologies.js'

export interface Variant {
  topology: Topology
  name?: string
  /** Driven by the native engine. */
  isNative?: boolean
  /** Whether it has `saveFenced`. */
  isFenced?: boolean
  createStore?: (running: Running) => LockStore
  /** Whether stores are used once before a test gets them. */
  isWarmed?: boolean
  /** Whether what takes long is tested too. */
  isThorough?: boolean
  /** Called after the last test. */
  stop?: () => void
}

/** Registers all of it for one way of reaching Redis. */
export function registerContract(variant: Variant): Promise<void> {
  const { topology, name, createStore = storeOf, ...rest } = variant
  const title = name ?? `Redis, ${topology}`
  return registerContractFor({ title, start: TOPOLOGIES[topology], createStore, ...rest })
}
