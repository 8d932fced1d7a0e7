/**
 * Reads URLs as knex and its drivers do.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { cannot } from '../translation/values.js'
import type { RawOptions } from '../translation/values.js'

/** Options of a URL that name files. */
const FILES = { sslcert: 'cert', sslkey: 'key', sslrootcert: 'ca' } as const

/**
 * What is in `ssl` when the certificate's name isn't to be checked; `pg` is given a function that checks nothing.
 */
export const IDENTITY_UNCHECKED = Symbol('identity unchecked')

const PROTOCOLS: Record<string, string> = {
  'postgres:': 'pg',
  'postgresql:': 'pg',
  'pg:': 'pg',
  'mysql:': 'mysql2',
  'mysql2:': 'mysql2',
  'mariadb:': 'mysql2',
  'sqlite:': 'sqlite3',
  'sqlite3:': 'sqlite3',
  'better-sqlite3:': 'better-sqlite3',
  'file:': 'sqlite3',
}

/**
 * The client that a URL is for; that of SQLite for a file's name. `undefined` if the protocol is none of a database.
 */
export function clientOf(url: string): string | undefined {
  const [protocol] = /^[a-z][a-z0-9+.-]+:/i.exec(url) ?? []
  return protocol === undefined ? 'sqlite3' : PROTOCOLS[protocol.toLowerCase()]
}

/**
 * Reads what `pg` reads as a URL: `postgres://user:password@host:port/database?option=…`, `socket:/folder?db=…`, or
 * `/folder database`.
 *
 * @param knowsLibpq - Whether `uselibpqcompat` counts, as it does in `pg` but not in knex
 * @throws TypeError if it can't be read
 */
export function parsePostgresUrl(url: string, knowsLibpq: boolean): RawOptions {
  if (url.startsWith('/')) {
    const [host, database] = url.split(' ')
    return { host, database }
  }
  // Signs that should have been escaped.
  const isLoose = / |%(?![a-f0-9]{2})/i.test(url)
  const escaped = isLoose ? encodeURI(url).replace(/%25(\d\d)/g, '%$1') : url
  const { parsed, isHostless } = parseAuthority(escaped)

  const options: RawOptions = Object.fromEntries(parsed.searchParams)
  options.user ||= decodeURIComponent(parsed.username)
  options.password ||= decodeURIComponent(parsed.password)
  if (parsed.protocol === 'socket:') {
    const { db, encoding, ...others } = options
    return { ...others, host: decodeURI(parsed.pathname), database: db, client_encoding: encoding }
  }

  const host = isHostless ? '' : parsed.hostname
  let path = parsed.pathname
  if (!options.host) options.host = decodeURIComponent(host).replace(/^\[|\]$/g, '')
  else if (/^%2f/i.test(host)) path = host + path
  options.port ||= parsed.port
  options.database = path.length > 1 ? decodeURI(path.slice(1)) : undefined
  options.ssl = sslOf(options, knowsLibpq)
  return options
}

/** `postgres://user@/database` names no host, which URLs don't allow. */
function parseAuthority(url: string): { parsed: URL; isHostless: boolean } {
  try {
    return { parsed: new URL(url, 'postgres://base'), isHostless: false }
  } catch {
    return { parsed: new URL(url.replace('@/', '@nowhere/'), 'postgres://base'), isHostless: true }
  }
}

function sslOf(options: RawOptions, knowsLibpq: boolean): unknown {
  const { ssl, sslmode } = options
  const hasFiles = Object.keys(FILES).some((name) => options[name])
  if (!hasFiles && !sslmode) {
    if (ssl === 'true' || ssl === '1') return true
    if (ssl === '0') return false
    return ssl === undefined && options.sslnegotiation === 'direct' ? true : ssl
  }
  const tls: RawOptions & { [IDENTITY_UNCHECKED]?: true } = {}
  for (const [name, material] of Object.entries(FILES)) {
    if (options[name]) tls[material] = readPem(String(options[name]), name)
  }
  if (sslmode === 'disable') return false
  if (knowsLibpq && options.uselibpqcompat === 'true') {
    if (sslmode === 'prefer' || (sslmode === 'require' && !tls.ca)) tls.rejectUnauthorized = false
    if (sslmode === 'require' || sslmode === 'verify-ca') tls[IDENTITY_UNCHECKED] = true
    if (sslmode === 'verify-ca' && !tls.ca)
      throw cannot('sslmode', '"verify-ca" needs "sslrootcert"')
  } else if (sslmode === 'no-verify') tls.rejectUnauthorized = false
  return tls
}

function readPem(file: string, option: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw cannot(option, `the file can't be read (${(error as { code?: string }).code})`)
  }
}

/**
 * Reads what knex reads as the URL of a MySQL server. Values of options are JSON where they can be.
 */
export function parseMysqlUrl(url: string): RawOptions {
  const parsed = new URL(url)
  const options: RawOptions = { database: parsed.pathname.slice(1) }
  if (parsed.hostname) options.host = parsed.hostname.replace(/^\[|\]$/g, '')
  if (parsed.port) options.port = parsed.port
  if (parsed.username || parsed.password) options.user = decodeURIComponent(parsed.username)
  if (parsed.password) options.password = decodeURIComponent(parsed.password)
  for (const [name, value] of parsed.searchParams) {
    options[name] = parsed.protocol === 'mysql2:' ? value : jsonOr(value)
  }
  return options
}

/**
 * Reads what `mysql2` reads as its option `uri`: like knex, but the database's name may be escaped.
 */
export function parseMysqlUri(uri: string): RawOptions {
  const parsed = new URL(uri)
  const options: RawOptions = {
    host: decodeURIComponent(parsed.hostname.replace(/^\[|\]$/g, '')),
    port: parsed.port,
    database: decodeURIComponent(parsed.pathname.slice(1)),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
  }
  for (const [name, value] of parsed.searchParams) {
    if (!(name in options)) options[name] = jsonOr(value)
  }
  return options
}

function jsonOr(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

/**
 * The file that a URL of SQLite names: `sqlite:locks.db`, `sqlite:///tmp/locks.db`, `file:///tmp/locks.db`, or a name
 * without protocol.
 */
export function parseSqliteUrl(url: string): RawOptions {
  if (/^file:\/\//i.test(url)) return { filename: fileURLToPath(url) }
  const [, rest] = /^(?:sqlite3?|better-sqlite3|file):(?:\/\/)?(.*)$/is.exec(url) ?? []
  if (rest === undefined) return { filename: url }
  const [path, query] = rest.split('?', 2)
  if (query) throw cannot('url', 'the URL of a file has no options')
  return { filename: decodeURIComponent(path) }
}
