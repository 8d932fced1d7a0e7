import type { KyselyConnection, KyselyOptions } from '../types/main.js'
import { assertKnown, assertOptions, kindOf, tableSettingsOf } from './database/options.js'
import { KyselyAdapter } from './database/kysely_adapter.js'
import { storeAt } from './database/table_store.js'
import type { DatabaseStore } from './database/table_store.js'
import { InvalidArgumentsException } from '../errors.js'
import type { RawOptions } from './translation/values.js'

export { KyselyAdapter } from './database/kysely_adapter.js'
export type { KyselyConnection, KyselyOptions } from '../types/main.js'

const OPTIONS = ['tableName', 'schemaName', 'autoCreateTable', 'fencing', 'commandTimeout']

/**
 * A factory of stores in the database of a Kysely instance, over which they send their statements. What `factory` makes asks
 * nothing of the database before the first lock.
 *
 * @throws InvalidArgumentsException (when `factory` is called) if the options can't be used
 */
export function kyselyStore(options: KyselyOptions): { factory: () => DatabaseStore } {
  return { factory: () => storeOf(options) }
}

function storeOf(options: KyselyOptions): DatabaseStore {
  assertOptions(options, 'kysely')
  const { connection, ...others } = options as unknown as RawOptions
  assertKnown(others, OPTIONS, 'kysely')
  if (!isKysely(connection)) {
    throw new InvalidArgumentsException(
      `Invalid kysely store option "connection": expected a Kysely instance, got ${kindOf(connection)}`
    )
  }
  return storeAt(new KyselyAdapter(connection), tableSettingsOf(others))
}

function isKysely(value: unknown): value is KyselyConnection {
  const methods = ['getExecutor', 'executeQuery', 'withoutPlugins']
  return (
    typeof value === 'object' &&
    value !== null &&
    methods.every((method) => typeof (value as RawOptions)[method] === 'function')
  )
}
