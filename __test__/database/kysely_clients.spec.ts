/**
 * What is peculiar to Kysely: dialects of others, plugins, schemas, options.
 */
import { test } from '@japa/runner'
import { kyselyStore as peerStore } from '@verrou/core/drivers/kysely'
import Database from 'better-sqlite3'
import * as kysely from 'kysely'
import type { CompiledQuery, DialectAdapter, KyselyPlugin, QueryCompiler } from 'kysely'
import { E_LOCK_STORAGE_ERROR, LockFactory, Verrou } from 'loquet'
import { DatabaseStore } from 'loquet/drivers/database'
import { kyselyStore } from 'loquet/drivers/kysely'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { LockStore } from 'loquet/types'

import { PATIENCE } from '../contract/patience.js'
import { runCollected } from '../stores/collected_suite.js'
import { assertNotOwned, errorOf, until } from '../unit/observe.js'
import { placeOf } from './knexes.js'
import { makeKysely } from './own_clients.js'
import { startPostgres } from './servers.js'

const { Kysely, CamelCasePlugin, SqliteDialect } = kysely

/** SQLite in memory, under any adapter. */
function inMemory(plugins: KyselyPlugin[] = [], adapter?: DialectAdapter) {
  const dialect = new SqliteDialect({ database: new Database(':memory:') })
  if (adapter !== undefined) dialect.createAdapter = () => adapter
  return new Kysely<any>({ dialect, plugins })
}

const storeOn = (connection: kysely.Kysely<any>, tableName?: string) =>
  kyselyStore({ connection, tableName, commandTimeout: PATIENCE }).factory()

test.group('Kysely | dialects', () => {
  /** What a lock that is acquired and released sends, over a database that does whatever it is told. */
  async function sent(adapter: DialectAdapter, compiler: QueryCompiler): Promise<CompiledQuery[]> {
    const queries: CompiledQuery[] = []
    const executeQuery = async (query: CompiledQuery) => {
      queries.push(query)
      if (queries.length === 1) throw new Error('there is no such table')
      return { rows: [], numAffectedRows: 1n }
    }
    class Driver extends kysely.DummyDriver {
      override async acquireConnection() {
        return { executeQuery } as never
      }
    }
    const connection = new Kysely<any>({
      dialect: {
        createAdapter: () => adapter,
        createDriver: () => new Driver(),
        createIntrospector: (db) => new kysely.PostgresIntrospector(db),
        createQueryCompiler: () => compiler,
      },
    })
    const store = kyselyStore({ connection, autoCreateTable: true }).factory()
    await store.save('key', 'me', 60_000).catch(() => {})
    await store.save('key', 'me', 60_000).catch(() => {})
    return queries
  }

  /** An adapter whose classes have lost their names, as a bundler makes it. */
  function renamed(adapter: DialectAdapter): DialectAdapter {
    const { supportsTransactionalDdl, supportsReturning } = adapter
    return { supportsTransactionalDdl, supportsReturning } as DialectAdapter
  }

  const DIALECTS = {
    'Postgres': [
      () => new kysely.PostgresAdapter(),
      () => new kysely.PostgresQueryCompiler(),
      /clock_timestamp/,
    ],
    'MySQL': [
      () => new kysely.MysqlAdapter(),
      () => new kysely.MysqlQueryCompiler(),
      /utf8mb4_bin|information_schema/,
    ],
    'SQLite': [
      () => new kysely.SqliteAdapter(),
      () => new kysely.SqliteQueryCompiler(),
      /sqlite_master/,
    ],
    'SQL Server': [
      () => new kysely.MssqlAdapter(),
      () => new kysely.MssqlQueryCompiler(),
      /create table "verrou".+nvarchar/,
    ],
  } as const

  for (const [name, [adapter, compiler, sign]] of Object.entries(DIALECTS)) {
    test(`${name} is recognized, also derived, and without the names of its classes`, async ({
      assert,
    }) => {
      const statements = async (one: DialectAdapter) => {
        const queries = await sent(one, compiler())
        return queries.map(({ sql }) => sql)
      }
      const plain = await statements(adapter())
      assert.match(plain.join('\n'), sign)
      const Derived = class Theirs extends (adapter().constructor as new () => DialectAdapter) {}
      assert.deepEqual(await statements(new Derived()), plain)
      assert.deepEqual(await statements(renamed(adapter())), plain)
    })
  }
})

/** The adapter of a dialect that nobody knows. */
class StrangeAdapter extends kysely.DialectAdapterBase {
  override get supportsCreateIfNotExists() {
    return false
  }

  /** Or Kysely lets everybody into the transaction that one has begun: its SQLite driver has a single connection. */
  override get supportsMultipleConnections() {
    return false
  }

  async acquireMigrationLock() {}

  async releaseMigrationLock() {}
}

test.group('Kysely | a dialect that nobody knows', () => {
  test('the public suite passes, and a row that is there is told from what has failed', async ({
    assert,
  }) => {
    const connection = inMemory([], new StrangeAdapter())
    const { count, failures } = await runCollected(assert, (collect) =>
      registerStoreTestSuite({ test: collect, createStore: () => storeOn(connection) })
    )
    assert.deepEqual(failures, {})
    assert.isAtLeast(count, 15)

    await connection.schema
      .createTable('strange')
      .addColumn('key', 'text', (column) => column.primaryKey())
      .addColumn('owner', 'text')
      .addColumn('expiration', 'bigint')
      .addColumn('tenant', 'text', (column) => column.notNull())
      .execute()
    const error = await errorOf(() => storeOn(connection, 'strange').save('key', 'me', 60_000))
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    assert.match(error.message, /tenant/)
    await connection.destroy()
  })

  test('one that does not tell how many rows it has changed is refused, not believed', async ({
    assert,
  }) => {
    const connection = inMemory([], new StrangeAdapter())
    const silent = {
      ...storedBy(connection),
      executeQuery: async (query: never) => {
        const { rows } = await connection.executeQuery(query)
        return { rows }
      },
    }
    const store = kyselyStore({ connection: silent }).factory()
    assert.isTrue(await store.save('key', 'me', 60_000))

    const error = await errorOf(() => store.delete('key', 'me'))
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    assert.match(error.message, /how many rows/)
    await connection.destroy()
  })
})

/** The methods that a store needs, over an instance. */
function storedBy(connection: kysely.Kysely<any>) {
  return {
    isTransaction: false,
    getExecutor: () => connection.getExecutor(),
    withoutPlugins() {
      return this
    },
  }
}

test.group('Kysely | plugins', () => {
  /** Breaks whatever passes it. */
  const BROKEN: KyselyPlugin = {
    transformQuery: () => {
      throw new Error('not for locks')
    },
    transformResult: async () => {
      throw new Error('not for locks')
    },
  }

  test('the names are those that the plugins make of them: the rows are those of the peer', async ({
    assert,
  }) => {
    for (const options of [{}, { upperCase: true }]) {
      const connection = inMemory([new CamelCasePlugin(options)])
      const tableName = 'appLocks'
      const ours = kyselyStore({ connection, tableName }).factory()
      const peers = peerStore({ connection, tableName }).factory()
      assert.isTrue(await ours.save('ours', 'me', 60_000))
      assert.isTrue(await peers.save('theirs', 'you', 60_000))

      assert.isFalse(await peers.save('ours', 'you', 60_000))
      assert.isFalse(await ours.save('theirs', 'me', 60_000))
      await assertNotOwned(assert, () => ours.delete('theirs', 'me'))
      await ours.extend('theirs', 'you', 60_000)
      await peers.delete('ours', 'me')
      assert.isFalse(await ours.exists('ours'))
      const { rows } = await kysely.sql<{
        name: string
      }>`select name from sqlite_master where type = 'table'`.execute(connection.withoutPlugins())
      assert.deepEqual(rows, [{ name: options.upperCase ? 'APP_LOCKS' : 'app_locks' }])
      await connection.destroy()
    }
  })

  test('a plugin that fails, or changes results, has no part in it', async ({ assert }) => {
    const connection = inMemory([BROKEN, new CamelCasePlugin()])
    const store = storeOn(connection, 'appLocks')
    assert.isTrue(await store.save('key', 'me', 60_000))
    assert.isFalse(await store.save('key', 'you', 60_000))
    await store.delete('key', 'me')
    const { rows } = await kysely.sql`select * from app_locks`.execute(connection.withoutPlugins())
    assert.deepEqual(rows, [])
    await connection.destroy()
  })
})

test.group('Kysely | Postgres', () => {
  test('the table is in the schema that is named, however it is', async ({
    assert,
    test: current,
  }) => {
    const server = await startPostgres()
    current.cleanup(() => server.stop())
    await server.query('create schema app')
    const connection = makeKysely({ client: 'pg', connection: placeOf(server) })
    current.cleanup(() => connection.destroy())
    const stores: LockStore[] = [
      kyselyStore({ connection, schemaName: 'app', tableName: 'locks' }).factory(),
      kyselyStore({ connection: connection.withSchema('app'), tableName: 'locks' }).factory(),
      kyselyStore({ connection, tableName: 'app.locks' }).factory(),
    ]
    // Before the peer's store is made: that creates the table at once, and fails if somebody else does so at the same time.
    await stores[0].exists('key')
    stores.push(
      peerStore({ connection: connection.withSchema('app'), tableName: 'locks' }).factory()
    )
    for (const [at, holder] of stores.entries()) {
      assert.isTrue(await holder.save('key', `owner ${at}`, 60_000))
      for (const other of stores) assert.isFalse(await other.save('key', 'other', 60_000))
      await stores[(at + 1) % stores.length].delete('key', `owner ${at}`)
    }
    const dotted = kyselyStore({ connection, schemaName: 'app', tableName: 'a.b' }).factory()
    assert.isTrue(await dotted.save('key', 'me', 60_000))
    assert.deepEqual(
      await server.query(
        "select table_schema, table_name from information_schema.tables where table_name in ('locks', 'a.b') order by 2"
      ),
      [
        { table_schema: 'app', table_name: 'a.b' },
        { table_schema: 'app', table_name: 'locks' },
      ]
    )
  })

  test('C1, C20: a lock that is held is no error for the server', async ({
    assert,
    test: current,
  }) => {
    const server = await startPostgres()
    current.cleanup(() => server.stop())
    const connection = makeKysely({ client: 'pg', connection: placeOf(server) })
    current.cleanup(() => connection.destroy())
    await connection.transaction().execute(async (transaction) => {
      const lock = new LockFactory(storeOn(transaction)).createLock('key', 60_000)
      assert.isTrue(await lock.acquire())
      assert.isFalse(await storeOn(transaction).save('key', 'you', 60_000))
      await lock.extend()
      assert.isTrue(await lock.isLocked())
      await lock.release()
    })
  })

  test('C22: nothing is asked before the first lock, and a server that is down ends no process', async ({
    assert,
    test: current,
  }) => {
    const server = await startPostgres()
    current.cleanup(() => server.stop())
    const connection = makeKysely({ client: 'pg', connection: placeOf(server) })
    current.cleanup(() => connection.destroy())
    await server.kill()
    const driver = kyselyStore({ connection, commandTimeout: 2_000 })
    const verrou = new Verrou({ default: 'database', stores: { database: { driver } } })
    const error = await errorOf(() => verrou.createLock('key').acquire())
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    assert.instanceOf(error.cause, Error)

    await server.restart()
    await until(() =>
      verrou
        .createLock('key')
        .run(() => true)
        .then(
          () => true,
          () => false
        )
    )
  })
})

test.group('Kysely | options', () => {
  test('C19: what is no instance is refused, without showing it: {$self}')
    .with([undefined, null, 'postgres://me:secret@host', {}, { executeQuery() {} }])
    .run(async ({ assert }, connection) => {
      const error = await errorOf(async () =>
        kyselyStore({ connection: connection as never }).factory()
      )
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      assert.include(error.message, '"connection"')
      assert.notInclude(error.message, 'secret')
    })

  test('C19: an option that means nothing here is named', async ({ assert }) => {
    const connection = inMemory()
    for (const [name, value] of Object.entries({
      poolSize: 2,
      tabelName: 'locks',
      commandTimeout: 0,
      autoCreateTable: 'yes',
      tableName: 7,
    })) {
      const options = { connection, [name]: value }
      const error = await errorOf(async () => kyselyStore(options as never).factory())
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      assert.include(error.message, `"${name}"`)
    }
    assert.instanceOf(kyselyStore({ connection }).factory(), DatabaseStore)
    await connection.destroy()
  })
})
