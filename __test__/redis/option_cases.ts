/**
 * What options that are carried over become, option by option.
 */
import dns from 'node:dns'

import { one } from '../translation/options.js'
import type { CarriedCase } from '../translation/options.js'

const prefixed = (option: string, given: object, keyPrefix: string): CarriedCase => ({
  option,
  given,
  expected: {},
  keyPrefix,
})

/** AdonisJS's, as far as anybody can see. */
const secret = (text: string) => ({ release: () => text, toString: () => '[redacted]' })

const SENTINELS = { sentinels: [{ host: 'a' }], name: 'main' }
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
const KEY = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
const EC_KEY = `-----BEGIN EC PARAMETERS-----\nAA\n-----END EC PARAMETERS-----\n${KEY.replaceAll('PRIVATE', 'EC PRIVATE')}`
const NAT = { '10.0.0.1:6379': { host: 'outside.test', port: 7001 } }
const MAPPED = { natMap: [{ from: '10.0.0.1:6379', host: 'outside.test', port: 7001 }] }

export const REDIS_CASES: CarriedCase[] = [
  one('host', 'example.test', { nodes: [{ host: 'example.test', port: 6379 }] }),
  one('host', null, { nodes: [{ host: 'localhost', port: 6379 }] }),
  one('port', 7000, { nodes: [{ host: 'localhost', port: 7000 }] }),
  one('port', '7000', { nodes: [{ host: 'localhost', port: 7000 }] }),
  one('port', 70_000, '"port"'),
  one('path', '/tmp/redis.sock', { nodes: [{ path: '/tmp/redis.sock' }] }),
  one('path', '/tmp/redis.sock', '"tls"', { tls: {} }),
  one('path', '', { nodes: [{ host: 'localhost', port: 6379 }] }),
  one('family', 4, { family: 4 }),
  one('family', 6, { family: 6 }),
  one('family', 'IPv6', { family: 6 }),
  one('family', 0, { family: 0 }),
  one('family', 5, '"family"'),
  one('username', 'app', { username: 'app', password: '' }),
  one('username', '', { username: undefined, password: 'hunter2' }, { password: 'hunter2' }),
  one('password', 'hunter2', { username: undefined, password: 'hunter2' }),
  one('password', 12_345, { password: '12345' }),
  one('password', '', { password: undefined }),
  one('password', secret('hunter2'), { password: 'hunter2' }),
  one('password', secret(''), { password: undefined }),
  one('db', 3, { db: 3 }),
  one('db', '3', { db: 3 }),
  one('db', 'none', { db: 0 }),
  one('db', -1, '"db"'),
  prefixed('keyPrefix', { keyPrefix: 'app:' }, 'app:'),
  prefixed('keyPrefix', { keyPrefix: Buffer.from('äpp:') }, 'äpp:'),
  one('keyPrefix', Buffer.from([0xff]), '"keyPrefix"'),
  one('connectTimeout', 123.4, { connectTimeout: 124 }),
  one('connectTimeout', 0, { connectTimeout: 2 ** 31 - 1 }),
  one('connectTimeout', undefined, { connectTimeout: 10_000 }),
  one('commandTimeout', 250, { commandTimeout: 250 }),
  one('commandTimeout', undefined, { commandTimeout: 5000 }),
  one('socketTimeout', 300, { commandTimeout: 300 }),
  one('socketTimeout', 9000, { commandTimeout: 5000 }),
  one('socketTimeout', 300, { commandTimeout: 200 }, { commandTimeout: 200 }),
  one('keepAlive', 30_000, { keepAlive: 30_000 }),
  one('keepAlive', null, { keepAlive: 0 }),
  one('connectionName', 'locks', { connectionName: 'locks' }),
  one('tls', {}, { tls: { ca: [], rejectUnauthorized: true } }),
  one('tls', true, { tls: { ca: [], rejectUnauthorized: true } }),
  one('tls', undefined, { tls: undefined }),
  one(
    'sentinels',
    [{ host: 'a', port: '1' }, {}],
    {
      kind: 'sentinel',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'localhost', port: 26_379 },
      ],
      sentinel: { name: 'main' },
    },
    { name: 'main' }
  ),
  one('sentinels', [{ host: 'a', family: 6 }], { family: 6 }, { name: 'main' }),
  one('sentinels', [{ family: 4 }, { family: 6 }], '"sentinels"', { name: 'main' }),
  one('name', 'main', { sentinel: { name: 'main' } }, SENTINELS),
  one('role', 'master', { kind: 'sentinel' }, SENTINELS),
  one(
    'sentinelUsername',
    'watcher',
    { sentinel: { username: 'watcher', password: '' } },
    SENTINELS
  ),
  one('sentinelPassword', 'hunter3', { sentinel: { password: 'hunter3' } }, SENTINELS),
  one('sentinelPassword', secret('hunter3'), { sentinel: { password: 'hunter3' } }, SENTINELS),
  one(
    'sentinelTLS',
    { servername: 's' },
    { tls: undefined, sentinel: { tls: { servername: 's' } } },
    SENTINELS
  ),
  one('sentinelTLS', { pfx: Buffer.alloc(1) }, '"sentinelTLS.pfx"', SENTINELS),
  one(
    'enableTLSForSentinelMode',
    true,
    { tls: { servername: 's' } },
    {
      ...SENTINELS,
      tls: { servername: 's' },
    }
  ),
  one('enableTLSForSentinelMode', false, { tls: undefined }, { ...SENTINELS, tls: {} }),
  one('natMap', NAT, MAPPED, SENTINELS),
  one('natMap', () => null, '"natMap"', SENTINELS),
]

export const CLUSTER_CASES: CarriedCase[] = [
  one(
    'redisOptions',
    { password: 'hunter2', tls: {}, commandTimeout: 200, connectionName: 'locks', readOnly: true },
    {
      kind: 'cluster',
      nodes: [{ host: 'a', port: 7000 }],
      password: 'hunter2',
      tls: { rejectUnauthorized: true },
      commandTimeout: 200,
      connectionName: 'locks',
    }
  ),
  one('redisOptions', { path: '/tmp/redis.sock' }, '"path"'),
  one('redisOptions', { sentinels: [{ host: 'a' }] }, '"sentinels"'),
  one('redisOptions', { Connector: class {} }, '"redisOptions.Connector"'),
  one('redisOptions', { db: 1 }, '"redisOptions.db"'),
  one('redisOptions', { shoeSize: 43 }, '"redisOptions.shoeSize"'),
  one('redisOptions', null, { kind: 'cluster', db: 0 }),
  prefixed('redisOptions', { redisOptions: { keyPrefix: 'inner:' } }, 'inner:'),
  prefixed('keyPrefix', { keyPrefix: 'app:', redisOptions: { keyPrefix: 'inner:' } }, 'app:'),
  one('natMap', NAT, MAPPED),
  one('natMap', () => null, '"natMap"'),
  one('dnsLookup', dns.lookup, { kind: 'cluster' }),
  one('dnsLookup', (address: string, callback: Function) => callback(null, address), {
    nodes: [{ host: 'a', port: 7000 }],
  }),
  one(
    'dnsLookup',
    function (host: string, done: Function) {
      done(null, host)
    },
    { kind: 'cluster' }
  ),
  one(
    'dnsLookup',
    (_address: string, callback: Function) => callback(null, '10.0.0.1'),
    '"dnsLookup"'
  ),
  one(
    'dnsLookup',
    (address: string, callback: Function) => dns.lookup(address, callback as never),
    '"dnsLookup"'
  ),
]

export const TLS_CASES: CarriedCase[] = [
  one('ca', CERTIFICATE, { tls: { ca: [CERTIFICATE] } }),
  one('ca', [Buffer.from(CERTIFICATE), CERTIFICATE], { tls: { ca: [CERTIFICATE, CERTIFICATE] } }),
  one('ca', new Uint8Array(Buffer.from(CERTIFICATE)), { tls: { ca: [CERTIFICATE] } }),
  one('ca', `issuer: me\n${CERTIFICATE}`, { tls: { ca: [`issuer: me\n${CERTIFICATE}`] } }),
  one('ca', 'not PEM', '"tls.ca"'),
  one('ca', CERTIFICATE.replaceAll('CERT', 'TRUSTED CERT'), '"tls.ca"'),
  one('cert', CERTIFICATE, { tls: { cert: CERTIFICATE, key: KEY } }, { key: KEY }),
  one('cert', CERTIFICATE, '"tls.cert"'),
  one('cert', [CERTIFICATE, CERTIFICATE], '"tls.cert"', { key: [KEY, KEY] }),
  one('key', [EC_KEY], { tls: { key: EC_KEY } }, { cert: [CERTIFICATE] }),
  one('key', KEY, '"tls.key"'),
  one('key', [{ pem: KEY, passphrase: 'hunter2' }], '"tls.key"', { cert: CERTIFICATE }),
  one('key', KEY.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE'), '"tls.key"', { cert: CERTIFICATE }),
  one('servername', 'redis.test', { tls: { servername: 'redis.test' } }),
  one('servername', '', { tls: { servername: undefined } }),
  one('rejectUnauthorized', false, { tls: { rejectUnauthorized: false } }),
  one('rejectUnauthorized', undefined, { tls: { rejectUnauthorized: true } }),
  one('host', 'other.test', { nodes: [{ host: 'other.test', port: 6379 }], tls: {} }),
  one('port', 7000, { nodes: [{ host: 'localhost', port: 7000 }], tls: {} }),
  one('minVersion', 'TLSv1.2', { tls: {} }),
  one('minVersion', 'TLSv1.3', '"tls.minVersion"'),
  one('maxVersion', 'TLSv1.3', { tls: {} }),
  one('maxVersion', 'TLSv1.2', '"tls.maxVersion"'),
  one('profile', 'RedisCloudFixed', '"tls.profile"'),
]
