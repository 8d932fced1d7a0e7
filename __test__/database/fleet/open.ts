/**
 * Opens stores on databases for the members of a fleet.
 */
import type { LockStore } from 'loquet/types'

import type { Peer, Way } from '../../fleet/orders.js'
import type { KnexConfig } from '../topologies.js'

/** How a database is reached. Verrou always does by an instance, of knex or Kysely. */
export interface DatabaseWay {
  /** `options` are loquet's own; a `proxy` around an instance of knex keeps loquet from taking its settings. */
  kind: 'options' | 'instance' | 'proxy' | 'kysely'
  config: KnexConfig
  tableName: string
  /** Of a store with `options`; milliseconds. */
  commandTimeout?: number
}

/** What a member is told. */
export function wayTo(settings: DatabaseWay): Way {
  return { opener: 'database/fleet/open.ts', settings }
}

export async function openStore(
  peer: Peer,
  { kind, config, tableName, commandTimeout }: DatabaseWay
): Promise<{ store: LockStore; close?: () => Promise<void> }> {
  if (kind === 'options') {
    const { databaseStore } = await import('loquet/drivers/database')
    return { store: databaseStore({ ...config, tableName, commandTimeout }).factory() }
  }
  if (kind === 'kysely') {
    const { makeKysely } = await import('../own_clients.js')
    const connection = makeKysely(config, { max: 5 })
    const { kyselyStore } =
      peer === 'verrou'
        ? await import('@verrou/core/drivers/kysely')
        : await import('loquet/drivers/kysely')
    return {
      store: kyselyStore({ connection, tableName }).factory(),
      close: () => connection.destroy(),
    }
  }
  const { default: makeKnex } = await import('knex')
  // More tasks than connections would wait for each other otherwise.
  const knex = makeKnex({ ...config, useNullAsDefault: true, pool: { min: 0, max: 5 } })
  const close = () => knex.destroy()
  if (peer === 'verrou') {
    const { knexStore } = await import('@verrou/core/drivers/knex')
    return { store: knexStore({ connection: knex, tableName }).factory(), close }
  }
  const { knexStore } = await import('loquet/drivers/knex')
  const connection = kind === 'proxy' ? new Proxy(knex, {}) : knex
  return { store: knexStore({ connection, tableName }).factory(), close }
}
