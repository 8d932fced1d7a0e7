/**
 * Every option of knex and of the drivers below it, and what becomes of it. `docs/database.md` shows these tables, and a
 * test compares them with the page and with the packages' own declarations, so that an option that comes with a later
 * version is noticed.
 */
import { FOREIGN_TLS_OPTIONS, carried, none, own } from '../translation/rows.js'
import type { OptionRow } from '../translation/rows.js'

const RESULTS = 'only results of queries of the app depend on it'
const LATE_CALLS = 'a call ends by `retry.timeout` or `commandTimeout`'
const RECONNECTS =
  'native connections are made when they are needed, and again with a growing pause when they are lost'
const LOG = "only about the app's log"
const PARSED = 'of a URL, where it has become `ssl` already'
const POOL = 'of a pool, which knex makes itself'

/**
 * Options of `knex()` and of a connection in `config/database.ts`.
 */
export const KNEX_OPTIONS: readonly OptionRow[] = [
  carried(
    'client',
    '`pg`, `postgres`, `postgresql`, `mysql`, `mysql2`, `sqlite`, `sqlite3`, `better-sqlite3`; others, and classes: own connection'
  ),
  carried('dialect', 'another name of `client`'),
  carried(
    'connection',
    'a URL or an object, see below, or a function that returns one. If it is asynchronous, or what it returns expires: own connection'
  ),
  carried('replicas', 'of Lucid: the settings of the writer; readers are never asked'),
  carried('searchPath', 'a text is one schema, an array several, as with knex'),
  carried('pool', 'see below'),
  carried(
    'wrapIdentifier',
    'a function; if it changes the name of the table, that name counts. Where it changes the names of columns: own connection'
  ),

  own('connectionPool', 'what its connections are like is up to the app'),

  none('version', 'the server is asked itself'),
  none('acquireConnectionTimeout', LATE_CALLS),
  none('useNullAsDefault', 'locks are always written with all their columns'),
  none('returning', RESULTS),
  none('fetchAsString', RESULTS),
  none('jsonbSupport', RESULTS),
  none('postProcessResponse', RESULTS),
  none('defaultDateTimePrecision', 'only for tables of the app'),
  none('asyncStackTraces', 'about the stack of errors of knex'),
  none('compileSqlOnError', 'about the errors of knex'),
  none('debug', LOG),
  none('log', LOG),
  none('migrations', 'where the files of migrations are'),
  none('seeds', 'where the files of seeders are'),
  none('seeders', 'of Lucid: where the files of seeders are'),
  none('wipe', 'of Lucid, for its command `db:wipe`'),
  none('revision', 'of Lucid, not used'),
  none('healthCheck', 'of Lucid, for its health checks'),
  none('userParams', 'only queries of the app use them'),
]

/**
 * Options of `pool`.
 */
export const POOL_OPTIONS: readonly OptionRow[] = [
  carried(
    'max',
    'the native pool has four connections at most, or fewer where `max` is smaller; `poolSize` of the store counts more'
  ),

  own('afterCreate', 'a function of the app changes what connections do'),
  own('validate', 'a function of the app decides which connections are used'),

  none('min', 'native connections are made when they are needed'),
  none('name', LOG),
  none('log', LOG),
  none('acquireTimeoutMillis', LATE_CALLS),
  none('createTimeoutMillis', LATE_CALLS),
  none('destroyTimeoutMillis', 'native connections are closed at once'),
  none('idleTimeoutMillis', 'idle connections are closed after a while'),
  none('reapIntervalMillis', 'idle connections are closed after a while'),
  none('createRetryIntervalMillis', RECONNECTS),
  none('propagateCreateError', RECONNECTS),
  none('maxConnectionLifetimeMillis', RECONNECTS),
  none('maxConnectionLifetimeJitterMillis', RECONNECTS),
  none('refreshIdle', 'of older versions of knex'),
  none('returnToHead', 'of older versions of knex'),
  none('priorityRange', 'of older versions of knex'),
]

/**
 * Options of `connection` for Postgres: those of `pg`, and what its URLs leave there.
 */
export const POSTGRES_OPTIONS: readonly OptionRow[] = [
  carried('connectionString', 'a URL; where both say something, it counts more'),
  carried(
    'host',
    '`PGHOST`, or `localhost`, unless set; what begins with `/` is the folder of a socket'
  ),
  carried('port', '`PGPORT`, or 5432, unless set'),
  carried('user', "`PGUSER`, or the name of the process's user, unless set"),
  carried(
    'password',
    '`PGPASSWORD`, or what the password file says, unless set; may be a `Secret` of AdonisJS. A function: own connection'
  ),
  carried('database', '`PGDATABASE`, or the name of the user, unless set'),
  carried(
    'ssl',
    '`true`, or options, see below; `PGSSLMODE` unless set; with a socket: own connection'
  ),
  carried('application_name', '`PGAPPNAME` unless set'),
  carried('fallback_application_name', 'where there is no `application_name`'),
  carried('options', '`-c search_path=…`, also from `PGOPTIONS`; others: own connection'),
  carried('connectionTimeoutMillis', '5,000 ms unless set'),
  carried('statement_timeout', 'where it is shorter than `commandTimeout`, it counts instead'),
  carried('query_timeout', 'where it is shorter than `commandTimeout`, it counts instead'),
  carried('pgbouncer', '`true` of a URL: there is a PgBouncer in between'),
  carried('sslnegotiation', '`postgres`; `direct`, also from `PGSSLNEGOTIATION`: own connection'),

  own('stream', 'it makes the socket in a way of its own'),
  own('connection', 'it makes the socket in a way of its own'),
  own('replication', 'such a connection takes no locks'),
  own('enableChannelBinding', "the native side doesn't bind logins to TLS channels"),
  own('scramMaxIterations', 'the native side has no such limit'),
  own('expirationChecker', 'the settings change while the app runs'),

  none('lock_timeout', LATE_CALLS),
  none('idle_in_transaction_session_timeout', 'native connections never idle in a transaction'),
  none('keepAlive', 'a connection that is silent for too long is made anew'),
  none('keepAliveInitialDelayMillis', 'a connection that is silent for too long is made anew'),
  none('client_encoding', 'native connections always speak UTF-8; the server converts'),
  none('types', RESULTS),
  none('binary', RESULTS),
  none('parseInputDatesAsUTC', RESULTS),
  none('pipeline', 'what is asked for in one turn always travels together'),
  none('Promise', RESULTS),
  none('sslmode', PARSED),
  none('sslcert', PARSED),
  none('sslkey', PARSED),
  none('sslrootcert', PARSED),
  none('uselibpqcompat', PARSED),
  none('max', POOL),
  none('min', POOL),
  none('idleTimeoutMillis', POOL),
  none('maxUses', POOL),
  none('maxLifetimeSeconds', POOL),
  none('allowExitOnIdle', POOL),
  none('log', POOL),
  none('Client', POOL),
  none('onConnect', POOL),
  none('verify', POOL),
]

/**
 * Options of `connection` for MySQL and MariaDB: those of `mysql2` and `mysql`.
 */
export const MYSQL_OPTIONS: readonly OptionRow[] = [
  carried('uri', 'of `mysql2`: a URL; where both say something, it counts less'),
  carried('host', '`localhost` unless set, over the network'),
  carried('port', '3306 unless set'),
  carried('socketPath', 'a unix socket, instead of host and port; with `ssl`: own connection'),
  carried('user', 'as it is'),
  carried('password', 'may be a `Secret` of AdonisJS'),
  carried('password1', 'of `mysql2`: another name of `password`'),
  carried('database', 'as it is'),
  carried('ssl', 'options, see below, or `true`; the name of a profile: own connection'),
  carried('connectTimeout', '5,000 ms unless set'),
  carried(
    'charset',
    'native connections speak `utf8mb4`, which holds them all; the server converts'
  ),

  own('localAddress', 'the socket has a certain address'),
  own('stream', 'it makes the socket in a way of its own'),
  own('isServer', 'it is no client'),
  own('pool', 'internal to the driver'),
  own('password2', 'the native side logs in with one password'),
  own('password3', 'the native side logs in with one password'),
  own('passwordSha1', 'the native side logs in with the password itself'),
  own('authPlugins', 'a function of the app takes part in the login'),
  own('authSwitchHandler', 'a function of the app takes part in the login'),
  own('insecureAuth', "the native side doesn't log in that way"),
  own('enableCleartextPlugin', "the native side doesn't log in that way"),
  own('expirationChecker', 'the settings change while the app runs'),

  none('charsetNumber', 'as `charset`'),
  none('flags', 'only statements of the app depend on them'),
  none('compress', 'about the way, not about what travels'),
  none('connectAttributes', 'what the server shows of connections'),
  none('enableKeepAlive', 'a connection that is silent for too long is made anew'),
  none('keepAliveInitialDelay', 'a connection that is silent for too long is made anew'),
  none('maxPreparedStatements', 'the native side prepares the same few statements'),
  none('multipleStatements', 'only statements of the app depend on it'),
  none('namedPlaceholders', 'only statements of the app depend on it'),
  none('queryFormat', 'only statements of the app depend on it'),
  none('stringifyObjects', 'only statements of the app depend on it'),
  none('timezone', 'times are numbers'),
  none('localInfile', 'only statements of the app depend on it'),
  none('infileStreamFactory', 'only statements of the app depend on it'),
  none('typeCast', RESULTS),
  none('supportBigNumbers', RESULTS),
  none('bigNumberStrings', RESULTS),
  none('decimalNumbers', RESULTS),
  none('dateStrings', RESULTS),
  none('jsonStrings', RESULTS),
  none('rowsAsArray', RESULTS),
  none('nestTables', RESULTS),
  none('disableEval', RESULTS),
  none('debug', LOG),
  none('trace', 'about the stack of errors of the driver'),
  none('gracefulEnd', 'native connections are closed at once'),
  none('connectionLimit', POOL),
  none('maxIdle', POOL),
  none('idleTimeout', POOL),
  none('queueLimit', POOL),
  none('resetOnRelease', POOL),
  none('waitForConnections', POOL),
  none('Promise', POOL),
]

/**
 * Options of `connection` for SQLite: what knex and Lucid take for `better-sqlite3` and `sqlite3`.
 */
export const SQLITE_OPTIONS: readonly OptionRow[] = [
  carried(
    'filename',
    "relative to the process's folder; in memory, temporary and what begins with `file:`: own connection"
  ),
  carried(
    'flags',
    'of `sqlite3`: `OPEN_READWRITE`, `OPEN_CREATE`, `OPEN_FULLMUTEX`, `OPEN_NOMUTEX`; others: own connection'
  ),
  carried('options', 'see below'),

  own('expirationChecker', 'the settings change while the app runs'),

  none('mode', 'knex passes it over'),
  none('debug', LOG),
]

/**
 * Options of `connection.options` for `better-sqlite3`. knex passes on no others.
 */
export const SQLITE_DRIVER_OPTIONS: readonly OptionRow[] = [
  own('nativeBinding', 'another SQLite than the usual one, which may read another format'),
  own('readonly', 'such a connection takes no locks'),

  none('safeIntegers', RESULTS),
]

/**
 * Options inside of `ssl` for Postgres.
 */
export const POSTGRES_TLS_OPTIONS: readonly OptionRow[] = [
  carried('ca', 'PEM, one or several, also with other text around'),
  carried('cert', 'PEM, one chain'),
  carried('key', 'PEM, one, not encrypted'),
  carried('rejectUnauthorized', "and `NODE_TLS_REJECT_UNAUTHORIZED=0` where it isn't set"),
  carried(
    'servername',
    '`pg` uses the name of the host instead; where that is an address, another name: own connection'
  ),
  carried('minVersion', '`TLSv1.2`; others: own connection'),
  carried('maxVersion', '`TLSv1.3`; others: own connection'),

  none('host', "`pg` uses the server's"),
  none('port', '`pg` has connected already'),

  ...FOREIGN_TLS_OPTIONS,
]

const PASSED_OVER = 'the driver passes it over'
const HANDSHAKE = "the native side has its own TLS, where this can't be set"

/**
 * Options inside of `ssl` for MySQL and MariaDB. What else Node.js's TLS knows the drivers pass over.
 */
export const MYSQL_TLS_OPTIONS: readonly OptionRow[] = [
  carried('ca', 'PEM, one or several, also with other text around'),
  carried('cert', 'PEM, one chain'),
  carried('key', 'PEM, one, not encrypted'),
  carried('rejectUnauthorized', '`false` only; then nothing is checked'),
  carried(
    'verifyIdentity',
    "of `mysql2`: without it the host's name isn't checked, nor is it natively"
  ),
  carried('minVersion', '`TLSv1.2`; others: own connection'),
  carried('maxVersion', '`TLSv1.3`; others: own connection'),

  own('passphrase', "only keys that aren't encrypted can be read"),
  own('ciphers', HANDSHAKE),

  none('servername', PASSED_OVER),
  none('host', PASSED_OVER),
  none('port', PASSED_OVER),
  ...FOREIGN_TLS_OPTIONS.filter(({ option }) => !['passphrase', 'ciphers'].includes(option)).map(
    ({ option }) => none(option, PASSED_OVER)
  ),
]
