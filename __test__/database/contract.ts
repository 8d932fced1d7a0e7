/**
 * The rules of the contract, as they are tested with every store, on databases.
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
  createStore?: (running: Running) => LockStore
  createOrderedStore?: (running: Running) => LockStore
  /** Whether what takes long is tested too. */
  isThorough?: boolean
  /** Called after the last test. */
  stop?: () => void | Promise<void>
}

/** Registers all of it for one way of reaching a database. */
export function registerContract(variant: Variant): Promise<void> {
  const { topology, name = topology, createStore = storeOf, ...rest } = variant
  return registerContractFor({
    title: name,
    start: TOPOLOGIES[topology],
    createStore,
    isWarmed: true,
    // Every store has several connections.
    isOrdered: false,
    ...rest,
  })
}
