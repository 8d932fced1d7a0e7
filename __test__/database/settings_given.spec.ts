/**
 * The ways in which settings are given to a database store, and that none of them ever shows a password.
 */
import { writeFileSync } from 'node:fs'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'

import { test } from '@japa/runner'
import { Verrou } from 'loquet'
import { DatabaseStore, NativeDatabaseStore, databaseStore } from 'loquet/drivers/database'
import { KnexAdapter, knexStore } from 'loquet/drivers/knex'
import pg from 'pg'
import type { DatabaseStoreOptions, KnexStoreOptions } from 'loquet/types'

import { DatabaseOrigin } from '../../lib/drivers/database/origin.js'
import { RecordingLogger } from '../unit/recording_logger.js'
import { config, instance, knex, setEnvironment, settingsOf } from './translations.js'

const POSTGRES_URLS = [
  'postgres://example.test',
  'postgresql://example.test:7000',
  'postgres://app:hunter2@example.test:7000/shop',
  'postgres://app@example.test/shop',
  'postgres://app:p%40ss%3Aw%2Frd%25@example.test/my%20shop',
  'postgres://app:hunter2@example.test/shop?application_name=locks&statement_timeout=300',
  'postgres://app:hunter2@example.test/shop?host=other.test&port=7001',
  'postgres://app:hunter2@example.test/shop?user=me&password=other',
  'postgres://example.test/shop?ssl=true',
  'postgres://example.test/shop?ssl=1',
  'postgres://example.test/shop?ssl=0',
  'postgres://example.test/shop?sslmode=disable',
  'postgres://example.test/shop?sslmode=no-verify',
  'postgres://example.test/shop?sslmode=require',
  'postgres://example.test/shop?sslmode=verify-full',
  'postgres://example.test/shop?options=-c%20search_path%3Dapp',
  'postgres://app:hunter2@%2Ftmp%2Fsockets/shop',
  'postgres://app:hunter2@/shop?host=/tmp/sockets',
  'postgres://app:hunter2@/shop',
  'postgres:///shop',
  'postgres://app:pass word@example.test/my shop',
  'socket:/tmp/sockets?db=shop&encoding=utf8',
  '/tmp/sockets shop',
]

const MYSQL_URLS = [
  'mysql://example.test',
  'mysql://app:hunter2@example.test:7000/shop',
  'mysql://app@example.test/shop?charset=utf8mb4&connectTimeout=300',
  'mysql://app:p%40ss%3Aw%2Frd%25@example.test/shop',
  'mysql://app:hunter2@example.test/shop?ssl={"rejectUnauthorized":false}',
  'mysql://app:hunter2@example.test/shop?socketPath=/tmp/mysqld.sock',
]

const given = (options: DatabaseStoreOptions) => DatabaseOrigin.ofOptions(options).translation

test.group('Database settings | URLs', (group) => {
  group.each.setup(() => setEnvironment())

  test('a URL means what it means to pg: {$self}')
    .with(POSTGRES_URLS)
    .run(({ assert }, url) => {
      const ours = settingsOf(given({ url, client: 'pg' }))
      const client = new pg.Client(url) as pg.Client & {
        password: string | null
        connectionParameters: { application_name?: string }
      }
      const { ssl } = client as unknown as { ssl: boolean | { rejectUnauthorized?: boolean } }
      const isSocket = client.host.startsWith('/')

      assert.containSubset(ours, {
        host: isSocket ? undefined : client.host,
        path: isSocket ? client.host : undefined,
        port: client.port,
        // `pg` has read who we are when it was loaded.
        username: client.user ?? 'me',
        password: client.password ?? undefined,
        database: client.database ?? 'me',
        applicationName: client.connectionParameters.application_name,
      })
      assert.equal(ours.tls !== undefined, Boolean(ssl))
      if (ours.tls) {
        const isChecked = typeof ssl !== 'object' || ssl.rejectUnauthorized !== false
        assert.equal(ours.tls.rejectUnauthorized, isChecked)
      }
    })

  test('a URL means what it means to knex: {$self}')
    .with(
      [...POSTGRES_URLS, ...MYSQL_URLS].filter(
        (url) => /^(postgres|mysql)/.test(url) && !url.includes('@/')
      )
    )
    .run(({ assert }, url) => {
      const client = url.startsWith('mysql') ? 'mysql2' : 'pg'

      assert.deepEqual(
        config({ client, connection: url }),
        instance(knex({ client, connection: url }))
      )
      assert.deepEqual(given({ url }), config({ client, connection: url }))
    })

  test('certificates are read from files that a URL names', ({ assert, test: current }) => {
    const folder = mkdtempSync(join(tmpdir(), 'loquet-url-'))
    current.cleanup(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'ca.pem')
    const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    writeFileSync(file, pem)
    const url = `postgres://a/b?sslmode=verify-ca&sslrootcert=${file}`
    const tlsOf = (text: string) => settingsOf(given({ url: text })).tls

    assert.containSubset(tlsOf(url), { ca: [pem], rejectUnauthorized: true, verifyIdentity: true })
    assert.containSubset(tlsOf(`${url}&uselibpqcompat=true`), { ca: [pem], verifyIdentity: false })
    assert.throws(() => tlsOf(`postgres://a/b?sslrootcert=${file}x`), /"sslrootcert".+ENOENT/)
  })

  test("libpq's meaning of sslmode counts where a URL asks for it", ({ assert }) => {
    const tlsOf = (mode: string) =>
      settingsOf(given({ url: `postgres://a/b?uselibpqcompat=true&sslmode=${mode}` })).tls

    assert.isUndefined(tlsOf('disable'))
    assert.containSubset(tlsOf('prefer'), { rejectUnauthorized: false })
    assert.containSubset(tlsOf('require'), { rejectUnauthorized: false })
    assert.containSubset(tlsOf('verify-full'), { rejectUnauthorized: true, verifyIdentity: true })
    assert.throws(() => tlsOf('verify-ca'), /"sslmode"/)
  })

  test('a URL of a file is its name: {$self}')
    .with([
      'locks.db',
      './locks.db',
      'sqlite:locks.db',
      'sqlite:./locks.db',
      'sqlite3://locks.db',
      'better-sqlite3:locks.db',
    ])
    .run(({ assert }, url) => {
      assert.containSubset(settingsOf(given({ url })), {
        kind: 'sqlite',
        path: resolve('locks.db'),
      })
    })

  test('a URL of an absolute file is its name: {$self}')
    .with(['/tmp/my locks.db', 'sqlite:/tmp/my%20locks.db', 'sqlite:///tmp/my%20locks.db'])
    .run(({ assert }, url) => {
      assert.equal(settingsOf(given({ url })).path, '/tmp/my locks.db')
    })

  test('a URL counts more than the options beside it', ({ assert }) => {
    const settings = settingsOf(
      given({
        url: 'postgres://u@h/d',
        connection: { host: 'other', password: 'p', application_name: 'locks' },
        searchPath: 'app',
        pool: { max: 1 },
      })
    )

    assert.containSubset(settings, {
      host: 'h',
      username: 'u',
      applicationName: 'locks',
      searchPath: ['app'],
      poolSize: 1,
    })
  })
})

test.group('Database settings | options of a store', (group) => {
  group.each.setup(() => setEnvironment())
  const create = (options: unknown) => () =>
    databaseStore(options as DatabaseStoreOptions).factory()
  const createKnex = (options: unknown) => () => knexStore(options as KnexStoreOptions).factory()
  const refusals: Record<string, [make: () => unknown, message: string]> = {
    'nothing': [create(undefined), 'database store options: expected an object, got undefined'],
    'text': [create('postgres://:hunter2@h'), 'expected an object, got string'],
    'no place': [create({ tableName: 'locks' }), 'expected a "url", or a "client"'],
    'no client': [create({ connection: { password: 'hunter2' } }), 'expected a "url"'],
    'a number': [create({ url: 5432 }), '"url": expected a URL'],
    'a URL': [create({ url: 'postgres://:hunter2@host:port' }), '"url": expected a URL'],
    'a protocol': [create({ url: 'https://:hunter2@host' }), '"url": expected a URL'],
    'a connection': [create({ connection: 'ftp://:hunter2@host' }), '"connection": expected a URL'],
    'a port': [create({ url: 'mysql://h', connection: { port: 70_000 } }), '"port"'],
    'a file in memory': [create({ url: 'sqlite::memory:' }), 'in memory'],
    'an unknown option': [create({ url: 'mysql://h', hots: 'a' }), '"hots" isn\'t known'],
    'an unknown option of the connection': [
      create({ client: 'pg', connection: { hots: 'a', password: 'hunter2' } }),
      '"hots" isn\'t known.+knexStore',
    ],
    'a dialect': [create({ client: 'mssql', connection: { host: 'a' } }), '"mssql"'],
    'a knex instance': [create({ connection: knex({ client: 'pg' }) }), 'is for knexStore'],
    'a table': [create({ url: 'mysql://h', tableName: 7 }), '"tableName"'],
    'a table with NUL': [create({ url: 'mysql://h', tableName: 'a\0b' }), '"tableName"'],
    'a flag': [create({ url: 'mysql://h', autoCreateTable: 'no' }), '"autoCreateTable"'],
    'a timeout': [create({ url: 'mysql://h', commandTimeout: 0 }), '"commandTimeout"'],
    'a pool': [create({ url: 'mysql://h', poolSize: 1.5 }), '"poolSize"'],
    'no knex instance': [createKnex({ connection: undefined }), '"connection": expected a knex'],
    'a wrong knex instance': [createKnex({ connection: { password: 'hunter2' } }), '"connection"'],
    'an unknown option of knexStore': [
      createKnex({ connection: knex({ client: 'pg' }), tabelName: 'a' }),
      '"tabelName" isn\'t known',
    ],
    'redshift': [createKnex({ connection: knex({ client: 'redshift' }) }), 'primary key'],
  }

  test("C19: what can't be used is named, without its value: {$self}")
    .with(Object.keys(refusals))
    .run(({ assert }, kind) => {
      const [make, message] = refusals[kind]

      assert.throws(make, new RegExp(message))
      try {
        make()
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'E_INVALID_ARGUMENTS_EXCEPTION')
        assert.notInclude(inspect(error, { depth: null }), 'hunter2')
      }
    })

  test('a factory makes a store each time, of a real class', ({ assert }) => {
    const connection = knex({ client: 'pg', connection: { host: 'a' } })
    for (const { factory } of [databaseStore({ url: 'mysql://a' }), knexStore({ connection })]) {
      assert.instanceOf(factory(), NativeDatabaseStore)
      assert.notStrictEqual(factory(), factory())
    }
    assert.instanceOf(new NativeDatabaseStore({ connection }), NativeDatabaseStore)
    assert.instanceOf(new NativeDatabaseStore({ url: 'mysql://a' }), NativeDatabaseStore)
  })
})

test.group('Database settings | secrets', () => {
  test('C21: no password is seen in what is inspected, nor in JSON: {$self}')
    .with(['a URL', 'options', 'an instance', "the app's own connection", 'an adapter'])
    .run(({ assert }, kind) => {
      const secret = { host: 'a', user: 'app', password: 'hunter2' }
      const own = knex({ client: 'pg', connection: { ...secret, stream: () => undefined } })
      const store = {
        'a URL': () => databaseStore({ url: 'postgres://app:hunter2@a' }).factory(),
        'options': () => databaseStore({ client: 'pg', connection: secret }).factory(),
        'an instance': () =>
          knexStore({ connection: knex({ client: 'pg', connection: secret }) }).factory(),
        "the app's own connection": () => knexStore({ connection: own }).factory(),
        'an adapter': () => new DatabaseStore(new KnexAdapter(own), {}),
      }[kind]!()
      const logger = new RecordingLogger()
      const driver = { factory: () => store }
      const verrou = new Verrou({ default: 'database', stores: { database: { driver } }, logger })
      const lock = verrou.createLock('key')
      for (const value of [store, verrou, verrou.use('database'), lock, logger.lines]) {
        const seen = inspect(value, { depth: null, showHidden: true, getters: true })
        assert.notMatch(seen, /hunter/)
        assert.notMatch(String(JSON.stringify(value)), /hunter/)
      }
    })
})
