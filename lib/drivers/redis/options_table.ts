/**
 * Every option of ioredis 5 and 6, and what becomes of it. `docs/redis.md` shows these tables, and a test compares them
 * with the page and with ioredis's own declarations, so that an option that comes with a later version is noticed.
 */

import { FOREIGN_TLS_OPTIONS, carried, none, own } from '../translation/rows.js'
import type { OptionRow } from '../translation/rows.js'

export type { OptionRow } from '../translation/rows.js'

const LATE_CALLS = 'a call ends by `retry.timeout` or `commandTimeout`, connected or not'
const RECONNECTS =
  'the native connection reconnects with a growing pause for as long as something is to be done'
const SENTINELS = 'the listed sentinels are asked one after another, within `commandTimeout`'
const NO_REPLICA = 'locks are read and written on primaries only'
const COMMANDS = 'only commands of the app use it'

/**
 * Options of `new Redis()`, of a connection in `config/redis.ts` and of `redisOptions` of a cluster.
 */
export const REDIS_OPTIONS: readonly OptionRow[] = [
  carried('host', '`localhost` unless set'),
  carried('port', '6379 unless set'),
  carried('path', 'a unix socket; together with `tls`: own connection'),
  carried('family', 'which addresses of a host name are used'),
  carried('username', 'as it is'),
  carried('password', 'a server that wants none gets none; may be a `Secret` of AdonisJS'),
  carried(
    'db',
    'what `select()` has chosen on an instance counts; on a cluster a database other than 0: own connection'
  ),
  carried('keyPrefix', "what isn't valid UTF-8: own connection"),
  carried('connectTimeout', 'socket, TLS and login together'),
  carried('commandTimeout', '5,000 ms unless set'),
  carried('socketTimeout', 'where it is shorter than `commandTimeout`, it counts instead'),
  carried('keepAlive', 'as it is'),
  carried('connectionName', 'as in `CLIENT LIST`'),
  carried('tls', 'see below'),
  carried('sentinels', 'several of them with different `family`: own connection'),
  carried('name', 'of the primary, as its sentinels call it'),
  carried('role', '`slave` is an error: no lock can be taken on a replica'),
  carried('sentinelUsername', 'as it is'),
  carried('sentinelPassword', 'may be a `Secret` of AdonisJS'),
  carried('sentinelTLS', 'see below'),
  carried(
    'enableTLSForSentinelMode',
    "without it `tls` isn't used for the primary, as with ioredis, and a warning says so"
  ),
  carried('natMap', 'an object; a function: own connection'),

  own('Connector', 'it opens sockets in a way of its own'),
  own('readOnly', 'such a connection is made for reading from a replica'),

  none('lazyConnect', 'the native connection is made with the first lock'),
  none('retryStrategy', `${RECONNECTS}, even where ioredis would give up`),
  none('reconnectOnError', 'after a failover the native connection reconnects by itself'),
  none('maxRetriesPerRequest', LATE_CALLS),
  none('enableOfflineQueue', LATE_CALLS),
  none('offlineQueue', 'internal to ioredis'),
  none('commandQueue', 'internal to ioredis'),
  none('autoResendUnfulfilledCommands', 'a lost reply is cleared up by asking who holds the lock'),
  none('autoResubscribe', 'subscriptions of the store always return'),
  none('enableReadyCheck', 'a server that is loading its data is asked again'),
  none('maxLoadingRetryTime', 'a server that is loading its data is asked again'),
  none('enableAutoPipelining', 'what is asked for in one turn always travels together'),
  none('autoPipeliningIgnoredCommands', 'what is asked for in one turn always travels together'),
  none('noDelay', 'always on'),
  none('disconnectTimeout', 'the native connection is closed at once'),
  none('blockingTimeout', 'locks use no blocking command'),
  none('blockingTimeoutGrace', 'locks use no blocking command'),
  none('disableClientInfo', "about the library's name in `CLIENT LIST`"),
  none('clientInfoTag', "about the library's name in `CLIENT LIST`"),
  none('monitor', 'the native connection never monitors'),
  none('scripts', COMMANDS),
  none('stringNumbers', COMMANDS),
  none('protocol', 'of ioredis 6; ' + COMMANDS),
  none('replyMapping', 'of ioredis 6; ' + COMMANDS),
  none('himportFieldsets', 'of ioredis 6; ' + COMMANDS),
  none('showFriendlyErrorStack', "about the stack of ioredis's errors"),
  none('preferredSlaves', NO_REPLICA),
  none('updateSentinels', 'the sentinels that are listed are asked'),
  none(
    'failoverDetector',
    'sentinels are asked again when the connection is lost or the server refuses writes'
  ),
  none('sentinelRetryStrategy', RECONNECTS),
  none('sentinelReconnectStrategy', RECONNECTS),
  none('sentinelCommandTimeout', SENTINELS),
  none('sentinelMaxConnections', SENTINELS),
]

/**
 * Options of `new Cluster()` and of `clusterOptions` in `config/redis.ts`, its nodes included.
 */
export const CLUSTER_OPTIONS: readonly OptionRow[] = [
  carried('redisOptions', 'as above; `path` and `sentinels`: own connection'),
  carried('keyPrefix', 'that of `redisOptions` unless set'),
  carried('natMap', 'an object; a function: own connection'),
  carried(
    'dnsLookup',
    'the default, and `(address, callback) => callback(null, address)`, since host names are kept as they are; others: own connection'
  ),

  own('useSRVRecords', 'its nodes are found by SRV records'),

  none('resolveSrv', 'used with `useSRVRecords` only'),
  none('scaleReads', NO_REPLICA),
  none('lazyConnect', 'the native connection is made with the first lock'),
  none('clusterRetryStrategy', RECONNECTS),
  none('clusterNodeRetryStrategy', RECONNECTS),
  none('enableOfflineQueue', LATE_CALLS),
  none('enableReadyCheck', 'a cluster that is down is asked again'),
  none('maxRedirections', LATE_CALLS),
  none('retryDelayOnMoved', 'the native connection follows at once'),
  none('retryDelayOnFailover', RECONNECTS),
  none('retryDelayOnClusterDown', 'a cluster that is down is asked again'),
  none('retryDelayOnTryAgain', 'a lock is a single key, which is never asked to try again'),
  none('slotsRefreshTimeout', 'the map of slots is read within `connectTimeout`'),
  none(
    'slotsRefreshInterval',
    'the map of slots is read again when a node says that it is out of date'
  ),
  none('shardedSubscribers', 'the store subscribes where a lock is, if the servers can'),
  none('enableAutoPipelining', 'what is asked for in one turn always travels together'),
  none('autoPipeliningIgnoredCommands', 'what is asked for in one turn always travels together'),
  none('scripts', COMMANDS),
  none('himportFieldsets', 'of ioredis 6; ' + COMMANDS),
  none('showFriendlyErrorStack', "about the stack of ioredis's errors"),
]

/**
 * Options inside of `tls` and `sentinelTLS`.
 */
export const TLS_OPTIONS: readonly OptionRow[] = [
  carried('ca', 'PEM, one or several, also with other text around'),
  carried('cert', 'PEM, one chain'),
  carried('key', 'PEM, one, not encrypted'),
  carried('servername', 'as it is'),
  carried('rejectUnauthorized', "and `NODE_TLS_REJECT_UNAUTHORIZED=0` where it isn't set"),
  carried('host', "replaces the server's; with sentinels or a cluster: own connection"),
  carried('port', "replaces the server's; with sentinels or a cluster: own connection"),
  carried('minVersion', '`TLSv1.2`; others: own connection'),
  carried('maxVersion', '`TLSv1.3`; others: own connection'),
  carried('profile', 'of an ioredis instance, where it has become `ca`; elsewhere: own connection'),

  ...FOREIGN_TLS_OPTIONS,
]
