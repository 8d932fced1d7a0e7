/**
 * From the options of an ioredis connection to the settings of a native one.
 *
 * Whatever isn't understood to the last detail isn't guessed at: the translation then tells which option is the reason
 * why the store has to run on the app's own connection.
 */
import dns from 'node:dns'

import { InvalidArgumentsException } from '../../errors.js'
import { index } from '../translation/rows.js'
import { cannot, isSet, millisOf, namesIn, portOf, textOf } from '../translation/values.js'
import { CLUSTER_OPTIONS, REDIS_OPTIONS } from './options_table.js'
import { Untranslatable } from './settings.js'
import type { RawOptions, RedisNode, RedisSettings, RedisTls, Translation } from './settings.js'
import { translateTls } from './tls.js'
import { isEncrypted, parseRedisUrl } from './url.js'
import { assertTranslatable, connectTimeoutOf, databaseOf, familyOf, natMapOf } from './values.js'

type Native = Extract<Translation, { kind: 'native' }>

const REDIS_ROWS = index(REDIS_OPTIONS)
const CLUSTER_ROWS = index(CLUSTER_OPTIONS)

const REDIS_PORT = 6379
const SENTINEL_PORT = 26_379

/** Milliseconds. */
const CONNECT_TIMEOUT = 10_000
const COMMAND_TIMEOUT = 5_000

/** What a cluster connects with stands in its `redisOptions`; beside them ioredis passes it over. */
const MISPLACED = ['username', 'password', 'tls']

/** `(address, callback) => callback(null, address)`, however it is written. */
const KEEPS_NAMES =
  /^(?:function\s*\w*|\w+)?\s*\(?\s*(\w+)\s*,\s*(\w+)\s*\)?\s*(?:=>)?\s*\{?\s*(?:return\s+)?\2\(\s*null\s*,\s*\1\s*\)\s*;?\s*\}?$/

/** The original, in case somebody replaces it later: ioredis's default is what it was when ioredis was loaded. */
const lookup = dns.lookup

/**
 * Translates the options of one server, or of a server that sentinels know.
 *
 * @param options - Those of an ioredis instance, or those that would be given to make one
 * @param selected - The database that the instance has changed to
 */
export function translateRedis(options: RawOptions, selected?: unknown): Native {
  assertTranslatable(options, REDIS_ROWS)
  const warnings: string[] = []
  const settings = isSet(options.sentinels)
    ? sentinelSettings(options, warnings)
    : standaloneSettings(options)
  settings.db = databaseOf(selected ?? options.db)
  return {
    kind: 'native',
    settings,
    keyPrefix: textOf(options.keyPrefix, 'keyPrefix') ?? '',
    warnings,
  }
}

/**
 * Translates the options of a cluster.
 *
 * @param nodes - As `new Cluster()` takes them: objects, URLs or ports
 */
export function translateCluster(nodes: unknown, options: RawOptions): Native {
  const warnings: string[] = []
  assertTranslatable(options, CLUSTER_ROWS)
  for (const name of namesIn(options)) {
    if (MISPLACED.includes(name) && isSet(options[name])) {
      warnings.push(`"${name}" counts only within "redisOptions" of a cluster`)
    }
  }
  if (isSet(options.dnsLookup) && !keepsNames(options.dnsLookup)) {
    throw cannot('dnsLookup', 'a function of the app looks up host names')
  }
  const shared = { ...(options.redisOptions as RawOptions | null | undefined) }
  // A cluster decides by itself which of its nodes are only read.
  delete shared.readOnly
  assertTranslatable(shared, REDIS_ROWS, 'redisOptions.')
  if (databaseOf(shared.db) !== 0) throw cannot('redisOptions.db', 'it is a cluster')

  if (!Array.isArray(nodes) || nodes.length === 0) {
    throw new Untranslatable('no node of the cluster is named')
  }
  const all = nodes.map((node: unknown) => clusterNode(node, shared, warnings))
  const [{ connection }] = all
  const signature = JSON.stringify(connection)
  if (all.some((one) => JSON.stringify(one.connection) !== signature)) {
    throw new Untranslatable("the nodes of the cluster don't have the same options")
  }
  return {
    kind: 'native',
    settings: {
      kind: 'cluster',
      nodes: all.map(({ host, port }) => ({ host, port })),
      ...connection,
      natMap: natMapOf(options.natMap),
    },
    keyPrefix:
      textOf(options.keyPrefix, 'keyPrefix') ??
      textOf(shared.keyPrefix, 'redisOptions.keyPrefix') ??
      '',
    warnings: [...new Set(warnings)],
  }
}

/**
 * Translates a connection of `config/redis.ts`, or plain options of that form, with or without a URL.
 *
 * @param url - Counts more than the options, as it does with ioredis
 */
export function translateConfig(config: RawOptions, url?: string): Native {
  if ('clusters' in config) {
    const { clusters, clusterOptions, ...others } = config
    const native = translateCluster(clusters, (clusterOptions ?? {}) as RawOptions)
    for (const name of namesIn(others)) {
      native.warnings.push(`"${name}" isn't heeded beside "clusters", but within "clusterOptions"`)
    }
    return native
  }
  if (url === undefined) return translateRedis(config)
  const options = { ...config, ...parseRedisUrl(url) }
  if (isEncrypted(url)) options.tls ??= true
  return translateRedis(options)
}

function standaloneSettings(options: RawOptions): RedisSettings {
  let server: RawOptions = options
  const tls = translateTls(options.tls, 'tls', ({ host, port }) => {
    server = { host: host || options.host, port: port || options.port }
  })
  const path = textOf(options.path, 'path')
  if (path !== undefined && tls !== undefined) {
    throw cannot('tls', 'the server is reached by a unix socket')
  }
  const node: RedisNode = path === undefined ? nodeOf(server, 'localhost', REDIS_PORT) : { path }
  return { kind: 'standalone', nodes: [node], ...connectionOf(options, tls) }
}

function sentinelSettings(options: RawOptions, warnings: string[]): RedisSettings {
  if (options.role === 'slave') {
    throw new InvalidArgumentsException(
      'Invalid redis connection: its "role" is "slave", and no lock can be taken on a replica'
    )
  }
  if (isSet(options.role) && options.role !== 'master') throw cannot('role', 'it is no primary')
  const name = textOf(options.name, 'name')
  if (!Array.isArray(options.sentinels) || options.sentinels.length === 0 || name === undefined) {
    throw new Untranslatable('sentinels go with a list of them and the "name" of the primary')
  }

  const sentinels = options.sentinels as RawOptions[]
  for (const sentinel of sentinels) {
    const strange = [...namesIn(sentinel)].find((key) => !['host', 'port', 'family'].includes(key))
    if (strange) throw new Untranslatable(`the option "${strange}" of a sentinel isn't known`)
  }
  const family = familyOf(options.family, 'family')
  const families = new Set(sentinels.map((one) => familyOf(one.family, 'sentinels') || family))
  if (families.size > 1) throw cannot('sentinels', 'they have different families')

  const usesTls = isSet(options.enableTLSForSentinelMode)
  if (isSet(options.tls) && !usesTls) {
    warnings.push('without "enableTLSForSentinelMode" the option "tls" isn\'t used for the primary')
  }
  const tls = usesTls ? translateTls(options.tls, 'tls') : undefined
  return {
    kind: 'sentinel',
    nodes: sentinels.map((sentinel) => nodeOf(sentinel, 'localhost', SENTINEL_PORT)),
    ...connectionOf({ ...options, family: [...families][0] }, tls),
    sentinel: {
      name,
      ...loginOf(options.sentinelUsername, options.sentinelPassword),
      tls: translateTls(options.sentinelTLS, 'sentinelTLS'),
    },
    natMap: natMapOf(options.natMap),
  }
}

/** A node with the options that it is connected to with: its own count more than the shared ones. */
function clusterNode(node: unknown, shared: RawOptions, warnings: string[]) {
  const given =
    typeof node === 'string'
      ? parseRedisUrl(node)
      : typeof node === 'number'
        ? { port: node }
        : { ...(node as RawOptions) }
  // Databases of single nodes are passed over.
  delete given.db
  delete given.readOnly
  assertTranslatable(given, REDIS_ROWS, 'nodes.')

  const options = { ...shared }
  for (const name of namesIn(given)) options[name] = given[name]
  for (const name of ['path', 'sentinels']) {
    if (isSet(options[name])) throw cannot(name, 'it is a cluster')
  }
  if (typeof node === 'string' && isEncrypted(node) && !isSet(options.tls)) {
    warnings.push('"rediss:" of a node isn\'t heeded without "tls" within "redisOptions"')
  }
  const { host, port } = nodeOf(given, '127.0.0.1', REDIS_PORT)
  return { host, port, connection: connectionOf(options, translateTls(options.tls, 'tls')) }
}

function nodeOf(options: RawOptions, host: string, port: number): RedisNode {
  return {
    host: textOf(options.host, 'host') ?? host,
    port: portOf(options.port, 'port', port),
  }
}

/** What is the same for each server of a deployment. */
function connectionOf(options: RawOptions, tls: RedisTls | undefined) {
  const { connectTimeout = CONNECT_TIMEOUT } = options
  return {
    ...loginOf(options.username, options.password),
    db: 0,
    family: familyOf(options.family, 'family'),
    connectTimeout: connectTimeoutOf(connectTimeout),
    commandTimeout: commandTimeoutOf(options),
    keepAlive: millisOf(options.keepAlive, 0),
    connectionName: textOf(options.connectionName, 'connectionName'),
    tls,
  }
}

/** A user without a password logs in with an empty one. */
function loginOf(username: unknown, password: unknown): { username?: string; password?: string } {
  const user = textOf(username, 'username')
  const secret = textOf(password, 'password')
  return { username: user, password: user === undefined ? secret : (secret ?? '') }
}

/**
 * How long a call waits for the server.
 */
export function commandTimeoutOf({ commandTimeout, socketTimeout }: RawOptions): number {
  const own = millisOf(commandTimeout, 0) || COMMAND_TIMEOUT
  return Math.min(own, millisOf(socketTimeout, 0) || own)
}

function keepsNames(dnsLookup: unknown): boolean {
  if (typeof dnsLookup !== 'function') return false
  if (dnsLookup === lookup || dnsLookup === dns.lookup) return true
  return KEEPS_NAMES.test(Function.prototype.toString.call(dnsLookup))
}
