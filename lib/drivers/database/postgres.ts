/**
 * From the options of `pg` to those of a native connection.
 */
import { isIP } from 'node:net'

import { assertUsualVersions, pemTextsOf, rejectsUnauthorized } from '../translation/pem.js'
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
import { POSTGRES_OPTIONS, POSTGRES_TLS_OPTIONS } from './options_table.js'
import { passwordOfFile } from './password_file.js'
import type { DatabaseTls, ServerSettings } from './settings.js'
import { IDENTITY_UNCHECKED, parsePostgresUrl } from './url.js'

const ROWS = index(POSTGRES_OPTIONS)
const TLS_ROWS = index(POSTGRES_TLS_OPTIONS)

const PORT = 5432

/**
 * @param given - As `new pg.Client()` takes them
 */
export function translatePostgres(given: RawOptions): ServerSettings {
  const { env } = process
  const url = textOf(given.connectionString, 'connectionString')
  const options =
    url === undefined ? given : { ...ownAndHidden(given), ...parsePostgresUrl(url, true) }
  assertTranslatable(options, ROWS)
  if (typeof options.password === 'function') throw cannot('password', 'a function tells it')

  const host = textOf(options.host || env.PGHOST, 'host') ?? 'localhost'
  const port = portOf(options.port || env.PGPORT, 'port', PORT)
  const username = textOf(options.user || env.PGUSER, 'user') ?? systemUser()
  const database = textOf(options.database || env.PGDATABASE, 'database') ?? username
  const isSocket = host.startsWith('/')
  const tls = tlsOf(options.ssl === undefined ? sslOfEnvironment() : options.ssl, host)
  if (isSocket && tls !== undefined) throw cannot('ssl', 'the server is reached by a unix socket')
  const negotiation = options.sslnegotiation || env.PGSSLNEGOTIATION
  if (isSet(negotiation) && negotiation !== 'postgres') {
    throw cannot('sslnegotiation', 'the native side asks the server before it encrypts')
  }
  return {
    kind: 'postgres',
    ...(isSocket ? { path: host } : { host }),
    port,
    // None at all would be made up natively.
    username: username ?? '',
    password:
      textOf(options.password || env.PGPASSWORD, 'password') ??
      passwordOfFile({ host, port, database, username }),
    database,
    searchPath: searchPathIn(textOf(options.options || env.PGOPTIONS, 'options')),
    tls,
    applicationName:
      textOf(options.application_name || env.PGAPPNAME, 'application_name') ??
      textOf(options.fallback_application_name, 'fallback_application_name'),
    pgbouncer: String(options.pgbouncer) === 'true',
    connectTimeout: millisOf(options.connectionTimeoutMillis, 0) || undefined,
    statementTimeout: shortest(options.statement_timeout, options.query_timeout),
  }
}

/** knex hides passwords from those who look through an object. */
function ownAndHidden(options: RawOptions): RawOptions {
  return { ...options, password: options.password }
}

function systemUser(): string | undefined {
  return process.platform === 'win32' ? process.env.USERNAME : process.env.USER
}

function shortest(...limits: unknown[]): number | undefined {
  const set = limits.map((limit) => millisOf(limit, 0)).filter((limit) => limit > 0)
  return set.length > 0 ? Math.min(...set) : undefined
}

function sslOfEnvironment(): unknown {
  const mode = process.env.PGSSLMODE
  if (mode === 'no-verify') return { rejectUnauthorized: false }
  return ['prefer', 'require', 'verify-ca', 'verify-full'].includes(mode ?? '')
}

function tlsOf(value: unknown, host: string): DatabaseTls | undefined {
  const ssl =
    value === 'true' ? true : value === 'no-verify' ? { rejectUnauthorized: false } : value
  if (!ssl) return undefined
  if (ssl !== true && typeof ssl !== 'object') throw cannot('ssl', 'it is neither true nor options')
  const given = (ssl === true ? {} : ssl) as RawOptions & { [IDENTITY_UNCHECKED]?: boolean }
  // `pg` hides the key from those who look through it.
  const options: RawOptions = given.key === undefined ? { ...given } : { ...given, key: given.key }
  assertTranslatable(options, TLS_ROWS, 'ssl.')
  assertUsualVersions(options, 'ssl')
  if (isIP(host) !== 0 && isSet(options.servername) && options.servername !== host) {
    throw cannot('ssl.servername', 'the name on the certificate would be another than the host')
  }
  return {
    ...pemTextsOf(options, 'ssl'),
    rejectUnauthorized: rejectsUnauthorized(options),
    verifyIdentity: !given[IDENTITY_UNCHECKED],
    isOptional: false,
  }
}

/**
 * The search path in options for the server such as `-c search_path=app,public`.
 */
export function searchPathIn(options: string | undefined): string[] | undefined {
  if (options === undefined) return undefined
  // Backslashes keep the next sign from ending a word.
  const words = options.match(/(?:\\.|[^\s\\])+/gs) ?? []
  let found: string[] | undefined
  for (let at = 0; at < words.length; at++) {
    let word = words[at].replace(/\\(.)/gs, '$1')
    if (word === '-c') word = (words[++at] ?? '').replace(/\\(.)/gs, '$1')
    else if (word.startsWith('--')) word = word.slice(2)
    else if (word.startsWith('-c')) word = word.slice(2)
    else throw cannot('options', 'it is more than a search path')
    const [, list] = /^search_path=(.*)$/s.exec(word) ?? []
    if (list === undefined) throw cannot('options', 'it is more than a search path')
    found = identifiersIn(list)
  }
  return found
}

/** Names as SQL reads them: what isn't quoted is lower case. */
function identifiersIn(list: string): string[] {
  const names = list.match(/"(?:[^"]|"")*"|[^,\s"]+/g) ?? []
  return names.map((name) =>
    name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()
  )
}
