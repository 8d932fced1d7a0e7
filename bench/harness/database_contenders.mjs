import knex from 'knex'
import { placeOf } from './database_servers.mjs'
import { byFactory } from './locker.mjs'

/** @import { Kind, Locking } from './database_servers.mjs' */
/** @import { Locker } from './locker.mjs' */

/** The packages that lock, loquet first. */
export const lockers = /** @type {Locking[]} */ (['loquet', '@verrou/core'])

/**
 * A locker on one of the run's databases. Settings are each library's own apart from the TTL: the pool
 * of knex has up to ten connections (one with SQLite), loquet's up to four.
 *
 * @param {Kind} kind
 * @param {Locking} name
 * @returns {Promise<Locker>}
 */
export async function openLocker(kind, name) {
  const place = placeOf(kind, name)
  const locker = byFactory(name === 'loquet' ? await loquet(place) : await verrou(place))
  // Connects, and fails here rather than in the middle
  await locker.pair('first')
  return locker
}

/** @param {ReturnType<typeof placeOf>} place */
async function loquet(place) {
  const { LockFactory } = await import('loquet')
  const { databaseStore } = await import('loquet/drivers/database')
  return new LockFactory(databaseStore(place).factory())
}

/** @param {ReturnType<typeof placeOf>} place */
async function verrou({ client, connection, tableName }) {
  const { LockFactory } = await import('@verrou/core')
  const { knexStore } = await import('@verrou/core/drivers/knex')
  const database = knex({ client, connection, useNullAsDefault: true })
  return new LockFactory(knexStore({ connection: database, tableName }).factory())
}
