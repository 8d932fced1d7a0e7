/**
 * What options that are carried over become, option by option.
 */
import { resolve } from 'node:path'

import { one } from '../translation/options.js'
import type { CarriedCase } from '../translation/options.js'

/** AdonisJS's, as far as anybody can see. */
const secret = (text: string) => ({ release: () => text, toString: () => '[redacted]' })

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
const KEY = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
const PG = { client: 'pg', connection: { host: 'a' } }

/** A config of knex whose connection is the given one. */
export const postgres = (connection: object) => ({
  client: 'pg',
  connection: { host: 'a', ...connection },
})
export const mysql = (connection: object) => ({
  client: 'mysql2',
  connection: { host: 'a', ...connection },
})
export const sqlite = (connection: object) => ({
  client: 'sqlite3',
  connection: { filename: 'a.db', ...connection },
})

export const KNEX_CASES: CarriedCase[] = [
  one('client', 'pg', { kind: 'postgres', host: 'a', port: 5432 }, PG),
  one('client', 'postgres', { kind: 'postgres' }, PG),
  one('client', 'postgresql', { kind: 'postgres' }, PG),
  one('client', 'mysql', { kind: 'mysql', host: 'a', port: 3306 }, PG),
  one('client', 'mysql2', { kind: 'mysql' }, PG),
  one('client', 'sqlite', { kind: 'sqlite' }, sqlite({})),
  one('client', 'sqlite3', { kind: 'sqlite' }, sqlite({})),
  one('client', 'better-sqlite3', { kind: 'sqlite' }, sqlite({})),
  ...['mssql', 'oracledb', 'cockroachdb', 'pgnative', 'mariadb', 'libsql', 'constructor'].map(
    (client) => one('client', client, `the client "${client}" has no native counterpart`, PG)
  ),
  one('client', class {}, '"client"', PG),
  one('client', undefined, 'there is no option "client"', { connection: {} }),
  one('dialect', 'postgres', { kind: 'postgres' }, { connection: { host: 'a' } }),
  one('connection', 'postgres://u:p@h:1/d', { host: 'h', port: 1, username: 'u' }, PG),
  one('connection', () => ({ host: 'b' }), { host: 'b' }, PG),
  one('connection', () => Promise.reject(new Error('hunter2')), '"connection"', PG),
  one('connection', async () => ({ host: 'b' }), '"connection"', PG),
  one('connection', () => ({ expirationChecker: () => true }), '"expirationChecker"', PG),
  one('connection', undefined, 'there is no option "connection"', { client: 'pg' }),
  one('searchPath', 'app', { searchPath: ['app'] }, PG),
  one('searchPath', 'app,public', { searchPath: ['app,public'] }, PG),
  one('searchPath', ['app', 'public'], { searchPath: ['app', 'public'] }, PG),
  one('searchPath', [], { searchPath: undefined }, PG),
  one('searchPath', [7], '"searchPath"', PG),
  one('searchPath', 'app', { searchPath: ['app'] }, postgres({ options: '-csearch_path=b' })),
  one('pool', { max: 2 }, { poolSize: 2 }, PG),
  one('pool', { shoeSize: 43 }, '"pool.shoeSize"', PG),
  one('wrapIdentifier', (name: string, quote: (text: string) => string) => quote(name), {}, PG),
  one(
    'wrapIdentifier',
    (name: string, quote: (text: string) => string) => quote(name === 'verrou' ? 'my_locks' : name),
    { table: 'my_locks' },
    PG
  ),
  one('wrapIdentifier', (name: string) => name.toUpperCase(), '"wrapIdentifier"', PG),
  one('wrapIdentifier', 'upper', '"wrapIdentifier"', PG),
]

export const POOL_CASES: CarriedCase[] = [
  one('max', 10, { poolSize: 4 }),
  one('max', 3, { poolSize: 3 }),
  one('max', '1', { poolSize: 1 }),
  one('max', undefined, { poolSize: 4 }),
]

export const POSTGRES_CASES: CarriedCase[] = [
  one('host', 'example.test', { host: 'example.test', path: undefined }),
  one('host', '', { host: 'localhost' }),
  one('host', '/run/postgresql', { path: '/run/postgresql', port: 5432, host: undefined }),
  one('port', 7000, { port: 7000 }),
  one('port', '7000', { port: 7000 }),
  one('port', 70_000, '"port"'),
  one('user', 'app', { username: 'app', database: 'app' }),
  one('user', undefined, { username: 'me', database: 'me' }),
  one('password', 'hunter2', { password: 'hunter2' }),
  one('password', '', { password: undefined }),
  one('password', secret('hunter2'), { password: 'hunter2' }),
  one('password', () => 'hunter2', '"password"'),
  one('database', 'shop', { database: 'shop' }, { user: 'app' }),
  one('connectionString', 'postgres://u:p@h:1/d', { host: 'h', username: 'u', password: 'p' }),
  one(
    'connectionString',
    'postgres://h',
    { host: 'h', password: undefined, username: 'me' },
    {
      password: 'p',
      user: 'app',
    }
  ),
  one('ssl', true, {
    tls: { ca: [], rejectUnauthorized: true, verifyIdentity: true, isOptional: false },
  }),
  one('ssl', 'true', { tls: { rejectUnauthorized: true } }),
  one('ssl', 'no-verify', { tls: { rejectUnauthorized: false } }),
  one('ssl', {}, { tls: { rejectUnauthorized: true } }),
  one('ssl', false, { tls: undefined }),
  one('ssl', null, { tls: undefined }),
  one('ssl', 'require', '"ssl"'),
  one('ssl', true, '"ssl"', { host: '/tmp' }),
  one('application_name', 'shop', { applicationName: 'shop' }, { fallback_application_name: 'b' }),
  one('fallback_application_name', 'shop', { applicationName: 'shop' }),
  one('options', '-c search_path=App,"My App"', '"options"'),
  one('options', '-c search_path=App,"My\\ App",b', { searchPath: ['app', 'My App', 'b'] }),
  one('options', '--search_path=app', { searchPath: ['app'] }),
  one('options', '-csearch_path=app', { searchPath: ['app'] }),
  one('options', '-c statement_timeout=5s', '"options"'),
  one('options', 'project=shop', '"options"'),
  one('options', '', { searchPath: undefined }),
  one('connectionTimeoutMillis', 250, { connectTimeout: 250 }),
  one('connectionTimeoutMillis', 0, { connectTimeout: 5000 }),
  one('statement_timeout', 300, { commandTimeout: 300 }),
  one('statement_timeout', 60_000, { commandTimeout: 5000 }),
  one('statement_timeout', false, { commandTimeout: 5000 }),
  one('query_timeout', 200, { commandTimeout: 200 }, { statement_timeout: 300 }),
  one('pgbouncer', 'true', { pgbouncer: true }),
  one('pgbouncer', 'false', { pgbouncer: false }),
  one('sslnegotiation', 'postgres', {}),
  one('sslnegotiation', 'direct', '"sslnegotiation"', { ssl: true }),
]

export const MYSQL_CASES: CarriedCase[] = [
  one('uri', 'mysql://u:p@h:1/d%20e', {
    username: 'u',
    password: 'p',
    database: 'd e',
    host: 'a',
    port: 1,
  }),
  one('host', 'example.test', { host: 'example.test' }),
  one('host', null, { host: 'localhost' }),
  one('port', '7000', { port: 7000 }),
  one('port', 0, { port: 3306 }),
  one('socketPath', '/run/mysqld.sock', { path: '/run/mysqld.sock', host: undefined }),
  one('socketPath', '/run/mysqld.sock', '"ssl"', { ssl: {} }),
  one('user', 'app', { username: 'app' }),
  one('user', undefined, { username: '' }),
  one('password', 'hunter2', { password: 'hunter2' }),
  one('password', secret('hunter2'), { password: 'hunter2' }),
  one('password1', 'hunter2', { password: 'hunter2' }),
  one('database', 'shop', { database: 'shop' }),
  one(
    'ssl',
    {},
    {
      tls: { ca: [], rejectUnauthorized: true, verifyIdentity: false, isOptional: false },
    }
  ),
  one('ssl', true, { tls: { rejectUnauthorized: true } }),
  one('ssl', false, { tls: undefined }),
  one('ssl', 'Amazon RDS', '"ssl"'),
  one('ssl', 7, '"ssl"'),
  one('connectTimeout', 250, { connectTimeout: 250 }),
  one('connectTimeout', undefined, { connectTimeout: 5000 }),
  one('charset', 'latin1', { kind: 'mysql' }),
]

export const SQLITE_CASES: CarriedCase[] = [
  one('filename', 'locks.db', { path: resolve('locks.db') }),
  one('filename', './tmp/../locks.db', { path: resolve('locks.db') }),
  one('filename', '/tmp/locks.db', { path: '/tmp/locks.db' }),
  one('filename', ':memory:', 'in memory'),
  one('filename', '', 'in memory'),
  one('filename', 'file:locks.db?cache=shared', '"filename"'),
  one('filename', Buffer.from('locks.db'), '"filename"'),
  one('filename', undefined, '"filename"'),
  one('flags', ['OPEN_READWRITE', 'OPEN_CREATE', 'OPEN_FULLMUTEX'], { kind: 'sqlite' }),
  one('flags', ['OPEN_READONLY'], '"flags"'),
  one('flags', ['OPEN_URI', 'OPEN_SHAREDCACHE'], '"flags"'),
  one('flags', 'OPEN_READWRITE', '"flags"'),
  one('options', { nativeBinding: '/other.node' }, { kind: 'sqlite' }),
]

const TLS_CASES = (verifyIdentity: boolean): CarriedCase[] => [
  one('ca', CERTIFICATE, { tls: { ca: [CERTIFICATE], verifyIdentity } }),
  one('ca', [Buffer.from(CERTIFICATE), CERTIFICATE], { tls: { ca: [CERTIFICATE, CERTIFICATE] } }),
  one('ca', new Uint8Array(Buffer.from(CERTIFICATE)), { tls: { ca: [CERTIFICATE] } }),
  one('ca', 'not PEM', '"ssl.ca"'),
  one('cert', CERTIFICATE, { tls: { cert: CERTIFICATE, key: KEY } }, { key: KEY }),
  one('cert', CERTIFICATE, '"ssl.cert"'),
  one('key', [KEY], { tls: { key: KEY } }, { cert: [CERTIFICATE] }),
  one('key', KEY, '"ssl.key"'),
  one('key', KEY.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE'), '"ssl.key"', { cert: CERTIFICATE }),
  one('rejectUnauthorized', false, { tls: { rejectUnauthorized: false } }),
  one('rejectUnauthorized', true, { tls: { rejectUnauthorized: true } }),
  one('minVersion', 'TLSv1.2', { tls: {} }),
  one('minVersion', 'TLSv1.3', '"ssl.minVersion"'),
  one('maxVersion', 'TLSv1.3', { tls: {} }),
  one('maxVersion', 'TLSv1.2', '"ssl.maxVersion"'),
]

export const POSTGRES_TLS_CASES: CarriedCase[] = [
  ...TLS_CASES(true),
  one('servername', 'other.test', { host: 'a', tls: {} }),
]

export const MYSQL_TLS_CASES: CarriedCase[] = [
  ...TLS_CASES(false),
  one('verifyIdentity', true, { tls: { verifyIdentity: true } }),
]
