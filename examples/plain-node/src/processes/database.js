import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import knex from 'knex'
import { Verrou } from 'loquet'
import { databaseStore } from 'loquet/drivers/database'
import { knexStore } from 'loquet/drivers/knex'

const folder = fileURLToPath(new URL('../../tmp', import.meta.url))
const url = process.env.DATABASE_URL ?? `sqlite:${folder}/orders.db`

/**
 * SQLite makes the file, but not the folder that it is in.
 */
mkdirSync(folder, { recursive: true })

/**
 * @param {string} place
 * @returns {import('knex').Knex.Config}
 */
function settingsOf(place) {
  if (place.startsWith('sqlite:')) {
    const filename = place.slice('sqlite:'.length)
    return { client: 'better-sqlite3', connection: { filename }, useNullAsDefault: true }
  }
  return { client: place.startsWith('mysql:') ? 'mysql2' : 'pg', connection: place }
}

/**
 * The connection that the application has anyway.
 */
export const database = knex(settingsOf(url))

/**
 * Locks that all processes with the same database compete for. Their table is created with the first of them.
 */
export const locks = new Verrou({
  default: 'url',
  stores: {
    /**
     * By a URL: without knex and without any driver.
     */
    url: { driver: databaseStore({ url, tableName: 'locks' }) },

    /**
     * By a knex instance, whose settings are taken.
     */
    client: { driver: knexStore({ connection: database, tableName: 'locks' }) },
  },
})

/**
 * A number in the database that anybody may read and write.
 *
 * @type {import('./main.js').Counter}
 */
export const counter = {
  async reset() {
    await database.schema.dropTableIfExists('counters')
    await database.schema.createTable('counters', (table) => {
      table.integer('count').notNullable()
    })
    await database('counters').insert({ count: 0 })
  },

  async read() {
    const { count } = await database('counters').first()
    return count
  },

  async write(count) {
    await database('counters').update({ count })
  },
}

/**
 * Rejects where there is no server.
 */
export async function open() {
  await database.raw('select 1')
}

export const missing =
  'No database. Say where one is: DATABASE_URL=postgres://user:password@host/database'

export async function close() {
  await locks.close()
  await database.destroy()
}
