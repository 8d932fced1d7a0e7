/**
 * Translations of options as the tests look at them.
 */
import knexModule from 'knex'

import { translateInstance } from '../../lib/drivers/database/instance.js'
import { tableSettingsOf } from '../../lib/drivers/database/options.js'
import { translateKnex } from '../../lib/drivers/database/translate.js'
import { tryTranslating } from '../../lib/drivers/translation/values.js'
import type { DatabaseSettings, Translation } from '../../lib/drivers/database/settings.js'

export const knex = knexModule.knex

/** A config of `knex()`. */
export const config = (options: object, store: object = {}): Translation =>
  tryTranslating(() => translateKnex({ ...options }, tableSettingsOf({ ...store })))

/** An instance of knex; it connects to nothing. */
export const instance = (connection: object, store: object = {}): Translation =>
  translateInstance(connection, tableSettingsOf({ ...store }))

export function settingsOf(result: Translation): DatabaseSettings {
  if (result.kind !== 'native') throw new Error(`not carried over, since ${result.reason}`)
  return result.settings
}

export function reasonOf(result: Translation): string {
  if (result.kind !== 'connection') throw new Error('carried over')
  return result.reason
}

/** Variables that `pg` reads; a test sets what it needs. */
const VARIABLES = [
  ...['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'PGDATABASE', 'PGSSLMODE', 'PGAPPNAME'],
  ...['PGOPTIONS', 'PGSSLNEGOTIATION', 'PGPASSFILE', 'USER'],
]

/**
 * Sets the environment of Postgres clients; returns what sets it back.
 */
export function setEnvironment(variables: Record<string, string> = {}): () => void {
  const before = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]))
  const wanted: Record<string, string> = { USER: 'me', PGPASSFILE: '/nowhere', ...variables }
  for (const name of VARIABLES) {
    if (wanted[name] === undefined) delete process.env[name]
    else process.env[name] = wanted[name]
  }
  return () => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}
