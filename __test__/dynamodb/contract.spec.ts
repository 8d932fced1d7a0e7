/**
 * The rules of the contract, as they are tested with every store, on DynamoDB.
 */
import { registerContractFor } from '../contract/contract.js'
import { PATIENCE } from '../contract/patience.js'
import { startRunning, storeOf } from './tables.js'

await registerContractFor({
  title: 'DynamoDB',
  start: startRunning,
  createStore: (running) => storeOf(running, { commandTimeout: PATIENCE }),
  isNative: false,
  isOrdered: false,
  isThorough: true,
  isWarmed: true,
})
