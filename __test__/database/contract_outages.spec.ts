/**
 * C22 on databases: servers that are down, paused, restarted.
 */
import { databaseStore } from 'loquet/drivers/database'

import { registerOutages } from '../contract/outages.js'
import type { FailingServer } from '../contract/outages.js'
import { BACKENDS, openFactory, SERVERS, TABLE } from './backends.js'

for (const title of Object.keys(SERVERS) as (keyof typeof SERVERS)[]) {
  const start = async (): Promise<FailingServer> => {
    const { server, config, leases } = await BACKENDS[title]()
    return Object.assign(server!, {
      driver: (options) => databaseStore({ ...config, ...options, tableName: TABLE }),
      open: (options) => openFactory(config, options),
      remains: async () => {
        const found = await leases()
        return found.map(({ key }) => key)
      },
    } satisfies Partial<FailingServer>)
  }
  registerOutages({ title: `${title} outages`, start, memories: [{ start, remembers: true }] })
}
