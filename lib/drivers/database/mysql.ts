/**
 * From the options of `mysql2` and `mysql` to those of a native connection.
 */
import { assertUsualVersions, pemTextsOf } from '../translation/pem.js'
import { index } from '../translation/rows.js'
import {
  assertTranslatable,
  cannot,
  isSet,
  millisOf,
  portOf,
  textOf,
} from '../translation/values.js'
import type { RawOptions } from '../translation/values.js'
import { MYSQL_OPTIONS, MYSQL_TLS_OPTIONS } from './options_table.js'
import type { DatabaseTls, ServerSettings } from './settings.js'
import { parseMysqlUri } from './url.js'

const ROWS = index(MYSQL_OPTIONS)
const TLS_ROWS = index(MYSQL_TLS_OPTIONS)

const PORT = 3306

/**
 * @param given - As `mysql2.createConnection()` takes them
 * @param client - Which of the two drivers it is
 */
export function translateMysql(given: RawOptions, client: string): ServerSettings {
  const uri = client === 'mysql2' ? textOf(given.uri, 'uri') : undefined
  const options = uri === undefined ? given : withUri(given, parseMysqlUri(uri))
  assertTranslatable(options, ROWS)

  const path = textOf(options.socketPath, 'socketPath')
  const tls = tlsOf(options.ssl, client)
  if (path !== undefined && tls !== undefined) {
    throw cannot('ssl', 'the server is reached by a unix socket')
  }
  return {
    kind: 'mysql',
    ...(path === undefined
      ? {
          host: textOf(options.host, 'host') ?? 'localhost',
          port: portOf(options.port, 'port', PORT) || PORT,
        }
      : { path }),
    // None at all would be made up natively.
    username: textOf(options.user, 'user') ?? '',
    password: textOf(options.password || options.password1, 'password'),
    database: textOf(options.database, 'database'),
    tls,
    pgbouncer: false,
    connectTimeout: millisOf(options.connectTimeout, 0) || undefined,
  }
}

function withUri(given: RawOptions, fromUri: RawOptions): RawOptions {
  const options: RawOptions = { ...given, password: given.password }
  for (const [name, value] of Object.entries(fromUri)) options[name] ||= value
  return options
}

function tlsOf(ssl: unknown, client: string): DatabaseTls | undefined {
  if (!ssl) return undefined
  if (typeof ssl === 'string')
    throw cannot('ssl', 'the certificates of a profile are part of the driver')
  if (ssl !== true && typeof ssl !== 'object') throw cannot('ssl', 'it is neither true nor options')
  const options = { ...(ssl === true ? {} : (ssl as RawOptions)) }
  assertTranslatable(options, TLS_ROWS, 'ssl.')
  assertUsualVersions(options, 'ssl')
  return {
    ...pemTextsOf(options, 'ssl'),
    rejectUnauthorized: options.rejectUnauthorized !== false,
    verifyIdentity: client === 'mysql2' && isSet(options.verifyIdentity),
    isOptional: false,
  }
}
