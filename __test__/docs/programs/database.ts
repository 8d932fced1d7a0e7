import { sample } from '../program.js'
import type { Program } from '../program.js'
import { ASSERT, USE, bootApp } from './surroundings.js'

const CONFIG = `{
  connection: 'postgres',
  connections: { postgres: { client: 'pg', connection: process.env.POSTGRES_URL } },
}`

export const database: Record<string, Program> = {
  'Databases: config/lock.ts': {
    parts: [
      `${ASSERT}
      import knex from 'knex'
      import { defineConfig, stores } from '@adonisjs/lock'
      const env = { get: (_: 'LOCK_STORE') => 'database' as const }
      const client = knex({ client: 'pg', connection: process.env.POSTGRES_URL })
      await client.schema.createTable('locks', (table) => {
        table.string('key', 255).notNullable().primary()
        table.string('owner').notNullable()
        table.bigint('expiration').unsigned().nullable()
      })`,
      sample('docs/database.md#four-ways-to-say-where'),
      `const lock = lockConfig
      ${bootApp({ database: CONFIG })}
      ${USE}
      await app.terminate()
      await client.schema.dropTable('locks')
      await client.destroy()`,
    ],
    servers: ['postgres'],
  },

  'Databases: a knex instance': {
    parts: [
      ASSERT,
      sample('docs/database.md#four-ways-to-say-where:2'),
      `const locks = verrou
      ${USE}
      await verrou.close()
      await connection.schema.dropTable('locks')
      await connection.destroy()`,
    ],
    servers: ['postgres'],
    env: ({ postgres }) => ({ DATABASE_URL: postgres }),
  },

  // The servers don't exist; stores are made of all URLs, and nothing is connected before the first lock.
  'Databases: URLs': {
    parts: [
      `${ASSERT}
      import { readFileSync } from 'node:fs'`,
      sample('docs/database.md#four-ways-to-say-where:3'),
      `const urls = readFileSync(import.meta.filename, 'utf8').matchAll(/url: '(\\w+:[^']+)'/g)
      const made = [...urls].map(([, url]) => databaseStore({ url }).factory())
      assert.equal(made.length, 3)`,
    ],
  },

  'Databases: plain options': {
    parts: [
      `import { rootCertificates } from 'node:tls'
      import { databaseStore as storeOf } from 'loquet/drivers/database'
      import type { DatabaseStoreOptions } from 'loquet/types'
      const databaseStore = (options: DatabaseStoreOptions) => storeOf(options).factory()
      const [host, user, password, database] = ['db.example.com', 'app', 'secret', 'shop']
      const socketPath = '/run/mysqld/mysqld.sock'
      const [ca] = rootCertificates`,
      sample('docs/database.md#four-ways-to-say-where:4'),
    ],
  },
}
