/**
 * Settings that come from a knex instance, from Lucid's config and from the environment of Postgres clients.
 */
import { chmodSync, writeFileSync } from 'node:fs'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { test } from '@japa/runner'

import { writerConfigOf } from '../../lib/drivers/database/translate.js'
import { KNEX_CASES, MYSQL_CASES, POSTGRES_CASES, SQLITE_CASES } from './option_cases.js'
import { mysql, postgres, sqlite } from './option_cases.js'
import { config, instance, knex, reasonOf, setEnvironment, settingsOf } from './translations.js'

const PG = { client: 'pg', connection: { host: 'a', user: 'app', password: 'hunter2' } }

test.group('Database settings | instances', (group) => {
  group.each.setup(() => setEnvironment())

  test('an instance and the config that it was made of give the same', ({ assert }) => {
    const configs = [
      ...KNEX_CASES.map(({ given }) => given),
      ...POSTGRES_CASES.map(({ given }) => postgres(given)),
      ...MYSQL_CASES.map(({ given }) => mysql(given)),
      ...SQLITE_CASES.map(({ given }) => ({
        ...sqlite(given),
        client: 'better-sqlite3',
        useNullAsDefault: true,
      })),
    ] as Record<string, any>[]
    const known = ['pg', 'postgres', 'postgresql', 'mysql2', 'better-sqlite3']
    let compared = 0
    for (const given of configs) {
      if (!known.includes(given.client) || !given.connection || given.pool?.shoeSize) continue
      const made = knex({ ...given, log: { warn() {} } })
      const wanted = { ...given, log: {} }
      assert.deepEqual(instance(made), config(wanted), JSON.stringify(given))
      compared++
    }
    assert.isAbove(compared, 60)
  })

  test('the password that knex hides is found', ({ assert }) => {
    const made = knex(PG)

    assert.notInclude(JSON.stringify(made.client.config), 'hunter2')
    assert.equal(settingsOf(instance(made)).password, 'hunter2')
  })

  test("SQLite runs on the app's own connection where locks on files belong to processes: {$self}")
    .with(['darwin', 'freebsd', 'linux', 'win32'])
    .run(({ assert, test: current }, platform) => {
      const original = Object.getOwnPropertyDescriptor(process, 'platform')!
      Object.defineProperty(process, 'platform', { ...original, value: platform })
      current.cleanup(() => void Object.defineProperty(process, 'platform', original))
      const options = { client: 'better-sqlite3', connection: { filename: 'app.db' } }
      const result = instance(knex({ ...options, useNullAsDefault: true }))

      if (['linux', 'win32'].includes(platform)) assert.equal(settingsOf(result).kind, 'sqlite')
      else assert.match(reasonOf(result), /on this platform two SQLite libraries/)
      assert.equal(settingsOf(config(options)).kind, 'sqlite')
    })

  test('a connection that may do as it likes is asked for each statement: {$self}')
    .with(['a proxy', 'a transaction', 'a spy', 'a double', 'a class', 'no connection'])
    .run(async ({ assert, test: current }, kind) => {
      const spied = knex(PG)
      const Derived = class extends (spied.client.constructor as typeof knex.Client) {}
      Object.assign(spied.client, { acquireConnection: () => {} })
      const file = knex({
        client: 'better-sqlite3',
        connection: { filename: ':memory:' },
        useNullAsDefault: true,
      })
      current.cleanup(() => file.destroy())
      const transaction = kind === 'a transaction' ? await file.transaction() : undefined
      await transaction?.rollback()
      const [made, reason] = {
        'a proxy': [new Proxy(knex(PG), {}), 'is a proxy'],
        'a transaction': [transaction, 'is a transaction'],
        'a spy': [spied, 'method "acquireConnection" has been replaced'],
        'a double': [{ client: { config: PG }, raw() {} }, 'is no knex instance'],
        'a class': [knex({ ...PG, client: Derived }), '"client"'],
        'no connection': [knex({ client: 'pg' }), 'there is no option "connection"'],
      }[kind]! as [object, string]

      assert.include(reasonOf(instance(made)), reason)
      assert.notInclude(reasonOf(instance(made)), 'hunter2')
    })

  test('what an asynchronous function has told counts once knex has asked it', async ({
    assert,
    test: current,
  }) => {
    const made = knex({
      client: 'better-sqlite3',
      connection: async () => ({ filename: join(tmpdir(), 'told.db') }),
      useNullAsDefault: true,
    })
    current.cleanup(() => made.destroy())

    assert.include(reasonOf(instance(made)), '"connection"')
    await made.raw('select 1')
    assert.equal(settingsOf(instance(made)).path, join(tmpdir(), 'told.db'))
  })

  test('an asynchronous function is left to knex', ({ assert }) => {
    let calls = 0
    const made = knex({ client: 'pg', connection: async () => ({ host: String(calls++) }) })

    assert.include(reasonOf(instance(made)), '"connection"')
    assert.equal(calls, 0)
  })

  test('nothing is connected', ({ assert }) => {
    const made = knex(PG)
    instance(made)

    assert.equal(made.client.pool.numUsed() + made.client.pool.numPendingCreates(), 0)
  })
})

test.group('Database settings | the table', (group) => {
  group.each.setup(() => setEnvironment())
  const placeOf = (store: object, client = 'pg') => {
    const connection = client === 'sqlite3' ? { filename: 'a.db' } : { host: 'a' }
    const { schema, table } = settingsOf(config({ client, connection }, store))
    return [schema, table]
  }

  test('a dot separates schema and table, as with knex', ({ assert }) => {
    assert.deepEqual(placeOf({}), [undefined, 'verrou'])
    assert.deepEqual(placeOf({ tableName: 'app.locks' }), ['app', 'locks'])
    assert.deepEqual(placeOf({ tableName: 'my table"; --' }), [undefined, 'my table"; --'])
    assert.deepEqual(placeOf({ tableName: '.locks' }), [undefined, '.locks'])
    assert.deepEqual(placeOf({ tableName: 'my.locks', schemaName: 'app' }), ['app', 'my.locks'])
    assert.deepEqual(placeOf({ tableName: 'main.locks' }, 'sqlite3'), [undefined, 'locks'])
  })

  test('a table that is elsewhere is left to knex', ({ assert }) => {
    const attached = config({ ...sqlite({}) }, { tableName: 'other.locks' })
    const distant = config(PG, { tableName: 'shop.app.locks' })

    assert.include(reasonOf(attached), 'attached database')
    assert.include(reasonOf(distant), 'another database')
  })

  test('what the store is told counts more than the connection', ({ assert }) => {
    const given = {
      ...PG,
      pool: { max: 2 },
      connection: { host: 'a', connectionTimeoutMillis: 1000, statement_timeout: 9000 },
    }
    const store = { poolSize: 7, connectTimeout: 2000, commandTimeout: 8000, pgbouncer: true }

    assert.containSubset(settingsOf(config(given, store)), store)
    assert.containSubset(settingsOf(config(given)), {
      poolSize: 2,
      connectTimeout: 1000,
      commandTimeout: 5000,
      pgbouncer: false,
      autoCreateTable: true,
    })
  })
})

test.group('Database settings | the environment of Postgres', () => {
  test('what is given nowhere is taken from the variables that pg reads', ({
    assert,
    test: current,
  }) => {
    current.cleanup(
      setEnvironment({
        PGHOST: 'env.test',
        PGPORT: '7000',
        PGUSER: 'env',
        PGPASSWORD: 'hunter2',
        PGDATABASE: 'shop',
        PGSSLMODE: 'no-verify',
        PGAPPNAME: 'locks',
        PGOPTIONS: '-c search_path=app',
      })
    )
    const wanted = {
      host: 'env.test',
      port: 7000,
      username: 'env',
      password: 'hunter2',
      database: 'shop',
      tls: { rejectUnauthorized: false },
      applicationName: 'locks',
      searchPath: ['app'],
    }

    assert.containSubset(settingsOf(config({ client: 'pg', connection: {} })), wanted)
    assert.containSubset(
      settingsOf(config({ client: 'pg', connection: { host: 'a', ssl: false, user: 'b' } })),
      { ...wanted, host: 'a', username: 'b', tls: undefined }
    )
  })

  test('"ssl" of the environment: {$self}')
    .with(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'])
    .run(({ assert, test: current }, mode) => {
      current.cleanup(setEnvironment({ PGSSLMODE: mode }))
      const { tls } = settingsOf(config(PG))

      assert.equal(tls?.rejectUnauthorized, ['disable', 'allow'].includes(mode) ? undefined : true)
    })

  test('what nobody understands is left to pg', ({ assert, test: current }) => {
    current.cleanup(setEnvironment({ PGOPTIONS: '-c jit=off' }))
    assert.include(reasonOf(config(PG)), '"options"')
    setEnvironment({ PGSSLNEGOTIATION: 'direct' })
    assert.include(reasonOf(config(PG)), '"sslnegotiation"')
  })

  test('a password is looked for in the password file', ({ assert, test: current }) => {
    const folder = mkdtempSync(join(tmpdir(), 'loquet-pgpass-'))
    current.cleanup(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'pgpass')
    current.cleanup(setEnvironment({ PGPASSFILE: file }))
    writeFileSync(
      file,
      '# a comment\nother:*:*:*:wrong\na:5432:*:app:hunter\\:2\\\\\n*:*:*:*:every\n'
    )
    chmodSync(file, 0o600)
    const passwordOf = (connection: object) =>
      settingsOf(config({ client: 'pg', connection })).password

    assert.equal(passwordOf({ host: 'a', user: 'app' }), 'hunter:2\\')
    assert.equal(passwordOf({ host: 'b', user: 'app' }), 'every')
    assert.equal(passwordOf({ host: 'a', user: 'app', password: 'mine' }), 'mine')
    chmodSync(file, 0o644)
    assert.isUndefined(passwordOf({ host: 'a', user: 'app' }))
  })

  test('an address with the name of another host on its certificate is left to pg', ({
    assert,
    test: current,
  }) => {
    current.cleanup(setEnvironment())
    const by = (host: string) => config(postgres({ host, ssl: { servername: 'db.test' } }))

    assert.include(reasonOf(by('10.0.0.1')), '"ssl.servername"')
    assert.include(reasonOf(by('::1')), '"ssl.servername"')
    assert.equal(by('db.test').kind, 'native')
  })
})

test.group('Database settings | Lucid', (group) => {
  group.each.setup(() => setEnvironment())

  test('of replicas only the writer is used', ({ assert }) => {
    const given = {
      client: 'pg',
      connection: { user: 'app', password: 'hunter2', database: 'shop', port: 7000 },
      pool: { max: 3 },
      replicas: {
        write: { connection: { host: 'writer', port: 7001 }, pool: { max: 2 } },
        read: { connection: [{ host: 'one' }, { host: 'two' }], pool: { max: 1 } },
      },
    }

    assert.containSubset(settingsOf(config(writerConfigOf(given))), {
      host: 'writer',
      port: 7001,
      username: 'app',
      password: 'hunter2',
      database: 'shop',
      poolSize: 2,
    })
  })

  test('a writer that is a URL takes the place of the connection', ({ assert }) => {
    const write = { connection: 'postgres://u:p@writer:1/d' }
    const read = { connection: ['postgres://reader'] }
    const settings = settingsOf(
      config(writerConfigOf({ client: 'pg', connection: { host: 'x' }, replicas: { write, read } }))
    )

    assert.containSubset(settings, { host: 'writer', username: 'u', database: 'd' })
  })
})
