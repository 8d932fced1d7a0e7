/**
 * Recognizes a genuine knex instance, without loading knex. Anything that only looks like one (a double of a test, an
 * object around one), and a transaction, may do whatever it likes with a statement, so it is asked for every statement.
 */
import { types } from 'node:util'

import { tryTranslating, Untranslatable } from '../translation/values.js'
import type { RawOptions } from '../translation/values.js'
import type { TableSettings } from './options.js'
import type { Translation } from './settings.js'
import { translateShared } from './translate.js'

/** Methods that the client of any dialect has. */
const METHODS = ['acquireRawConnection', 'acquireConnection', 'query', 'wrapIdentifierImpl']

/**
 * Translates the config of a knex instance.
 *
 * @throws InvalidArgumentsException if no lock can be taken with it
 */
export function translateInstance(instance: object, store: TableSettings): Translation {
  return tryTranslating(() => {
    if (types.isProxy(instance)) throw new Untranslatable('the connection is a proxy')
    const { client, isTransaction } = instance as { client?: unknown; isTransaction?: unknown }
    if (isTransaction) throw new Untranslatable('the connection is a transaction')
    if (typeof instance !== 'function' || !isClient(client)) {
      throw new Untranslatable('the connection is no knex instance')
    }
    assertUnchanged(client)
    return translateShared(configOf(client), store)
  })
}

interface Client {
  config: RawOptions
  /** What a function has told, once it has been asked. */
  connectionSettings?: object
  /** `null` if that never expires. */
  connectionConfigExpirationChecker?: unknown
}

function configOf({ config, connectionSettings, ...client }: Client): RawOptions {
  const isTold =
    typeof config.connection === 'function' && client.connectionConfigExpirationChecker === null
  return isTold && connectionSettings ? { ...config, connection: connectionSettings } : config
}

function isClient(client: unknown): client is Client {
  if (typeof client !== 'object' || client === null) return false
  const { config, ...methods } = Object.fromEntries(
    ['config', ...METHODS].map((name) => [name, (client as RawOptions)[name]])
  )
  const isComplete = Object.values(methods).every((method) => typeof method === 'function')
  return isComplete && typeof config === 'object' && config !== null
}

/** Methods of the class may be replaced on an instance, by a spy of a test for example. */
function assertUnchanged(client: object): void {
  const prototype = Object.getPrototypeOf(client) as object
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(client))) {
    if (typeof value === 'function' && typeof (prototype as RawOptions)[name] === 'function') {
      throw new Untranslatable(`the connection's method "${name}" has been replaced`)
    }
  }
}
