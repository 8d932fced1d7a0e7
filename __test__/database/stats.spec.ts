/**
 * What is counted of locks in databases.
 */
import { databaseStore } from 'loquet/drivers/database'

import { registerStats } from '../contract/stats.js'
import { configOf, SERVERS, TABLE } from './backends.js'

for (const title of Object.keys(SERVERS) as (keyof typeof SERVERS)[]) {
  registerStats({
    title,
    start: async () => SERVERS[title](),
    driver: (server, at, apart) =>
      databaseStore({
        ...configOf(server, at),
        tableName: TABLE,
        connectTimeout: 10_000 + apart,
      }),
  })
}
