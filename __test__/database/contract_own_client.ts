/**
 * The rules of the contract for stores that run on the app's own client.
 */
import { DatabaseStore } from 'loquet/drivers/database'

import { PATIENCE } from '../contract/patience.js'
import { registerContract } from './contract.js'
import { CLIENTS } from './own_clients.js'
import type { ClientName, ClientOptions, OwnClient } from './own_clients.js'
import { newTable } from './topologies.js'
import type { Running, Topology } from './topologies.js'

/** Registers all of it for one client on one kind of database. Its stores share a client, as those of an app do. */
export function registerOwnClient(
  client: ClientName,
  topology: Topology,
  isThorough = false
): Promise<void> {
  const made: OwnClient[] = []
  const createWith = (options: ClientOptions) => {
    let shared: OwnClient | undefined
    return ({ config }: Running) => {
      if (shared === undefined) made.push((shared = CLIENTS[client](config, options)))
      const settings = { tableName: newTable(), commandTimeout: PATIENCE }
      return new DatabaseStore(shared.adapter(), settings)
    }
  }
  return registerContract({
    topology,
    name: `DatabaseStore over ${client}, ${topology}`,
    isNative: false,
    isThorough,
    createStore: createWith({}),
    // Whatever goes over several connections arrives in any order.
    createOrderedStore: createWith({ max: 1 }),
    stop: async () => {
      await Promise.all(made.map((one) => one.destroy()))
    },
  })
}
