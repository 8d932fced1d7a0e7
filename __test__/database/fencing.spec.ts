/**
 * Fencing tokens over the app's own client: the table that they are in, and that they come and go with the lock.
 */
import { test } from '@japa/runner'
import Database from 'better-sqlite3'
import * as kysely from 'kysely'
import { E_LOCK_STORAGE_ERROR } from 'loquet'
import { DatabaseStore, databaseStore } from 'loquet/drivers/database'
import { kyselyStore } from 'loquet/drivers/kysely'
import type { AtomicDatabaseAdapter, DatabaseAdapter, LockStore } from 'loquet/types'

import { fencesOf } from '../../lib/drivers/database/table_client.js'
import { errorOf, until } from '../unit/observe.js'
import { KINDS, startDatabase } from './knexes.js'
import type { Database as Running } from './knexes.js'
import { CLIENTS } from './own_clients.js'
import type { ClientName, ClientOptions, OwnClient } from './own_clients.js'
import type { KnexConfig } from './topologies.js'

const HOUR = 3_600_000

const CASES = (Object.keys(CLIENTS) as ClientName[]).flatMap((name) =>
  KINDS.map((kind) => ({ name, kind }))
)

for (const { name, kind } of CASES) {
  test.group(`fencing | ${name} | ${kind}`, (group) => {
    let database: Running
    const clients: OwnClient[] = []
    let tables = 0
    group.setup(async () => {
      database = await startDatabase(kind)
      return async () => {
        await Promise.all(clients.map((client) => client.destroy()))
        await database.stop()
      }
    })
    const newTable = () => `locks_${tables++}`
    const connect = (options: ClientOptions = { max: 4 }, of = name) => {
      const client = CLIENTS[of](database.config as KnexConfig, options)
      clients.push(client)
      return client
    }
    const create = (tableName = newTable(), autoCreateTable = true, of = name) =>
      new DatabaseStore(connect({ max: 4 }, of).adapter(), { tableName, autoCreateTable })
    let inspector: ReturnType<Running['connect']> | undefined
    const look = () => (inspector ??= database.connect({ pool: { min: 0, max: 1 } }))
    const fencesIn = async (tableName: string) => {
      const rows = (await look()(`${tableName}_fencing`).select('key', 'token')) as {
        key: string
        token: string | number
      }[]
      return Object.fromEntries(rows.map(({ key, token }) => [key, BigInt(token)]))
    }

    test('tokens are in a table beside that of the locks, made with the first of them', async ({
      assert,
    }) => {
      const table = newTable()
      const store = create(table)
      assert.isTrue(await store.save('plain', 'me', 60_000))
      assert.isFalse(await look().schema.hasTable(`${table}_fencing`))
      const token = (await store.saveFenced('k', 'me', 60_000)) as bigint
      assert.deepEqual(await fencesIn(table), { k: token })
      await store.delete('k', 'me')
      assert.deepEqual(await fencesIn(table), { k: token })
      // Who doesn't ask for a token changes none.
      assert.isTrue(await store.save('k', 'plain', 60_000))
      await store.delete('k', 'plain')
      assert.deepEqual(await fencesIn(table), { k: token })
    })

    test('many may make the table at the same time', async ({ assert }) => {
      const table = newTable()
      const stores = Array.from({ length: 5 }, () => create(table))
      const tokens = await Promise.all(
        stores.map((store, at) => store.saveFenced(`key ${at}`, 'me', 60_000))
      )
      assert.isTrue(tokens.every((token) => typeof token === 'bigint'))
    })

    test('a table that has been dropped is made again; without leave it is named', async ({
      assert,
    }) => {
      const table = newTable()
      const store = create(table)
      const token = (await store.saveFenced('k', 'me', 60_000)) as bigint
      await store.delete('k', 'me')
      await look().schema.dropTable(`${table}_fencing`)
      const strict = create(table, false)
      const error = await errorOf(() => strict.saveFenced('k', 'me', 60_000))
      assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
      assert.match(error.message, new RegExp(`"${table}_fencing" doesn't exist`))
      assert.isFalse(await store.exists('k'))
      assert.isTrue(((await store.saveFenced('k', 'me', 60_000)) as bigint) > token)
    })

    test('tokens grow over clients of any kind, each with connections of its own', async ({
      assert,
    }) => {
      const table = newTable()
      const stores = [
        create(table),
        create(table, true, 'KnexAdapter'),
        create(table, true, 'KyselyAdapter'),
      ]
      let last = 0n
      for (let round = 0; round < 9; round++) {
        const [holder, other] = [stores[round % 3], stores[(round + 1) % 3]]
        const token = (await holder.saveFenced('k', `owner ${round}`, 60_000)) as bigint
        assert.isTrue(token > last)
        last = token
        assert.strictEqual(await other.saveFenced('k', 'other', 60_000), false)
        await other.delete('k', `owner ${round}`)
      }
    })

    test('the native store has the same tokens', async ({ assert }) => {
      const table = newTable()
      const own = create(table)
      const { client, connection } = database.config as KnexConfig
      const native: LockStore = databaseStore({ client, connection, tableName: table }).factory()
      await own.saveFenced('k', 'me', 60_000)
      await own.delete('k', 'me')
      const ahead = (Date.now() + HOUR) * 1000
      await look()(`${table}_fencing`).update({ token: ahead })
      assert.strictEqual(await native.saveFenced!('k', 'you', 60_000), BigInt(ahead + 1))
      assert.strictEqual(await own.saveFenced('k', 'me', 60_000), false)
      await native.delete('k', 'you')
      assert.strictEqual(await own.saveFenced('k', 'me', 60_000), BigInt(ahead + 2))
      assert.strictEqual(await native.saveFenced!('k', 'you', 60_000), false)
      await own.delete('k', 'me')
    })

    test('the last token counts where it is ahead of the clock, the clock where it is gone', async ({
      assert,
    }) => {
      const table = newTable()
      const store = create(table)
      await store.saveFenced('k', 'me', 60_000)
      await store.forceDelete('k')
      const ahead = (Date.now() + HOUR) * 1000
      await look()(`${table}_fencing`).update({ token: ahead })
      assert.strictEqual(await store.saveFenced('k', 'one', 500), BigInt(ahead + 1))
      await until(async () => !(await store.exists('k')))
      assert.strictEqual(await store.saveFenced('k', 'two', 60_000), BigInt(ahead + 2))
      await store.delete('k', 'two')
      await look()(`${table}_fencing`).delete()
      const before = BigInt(Date.now() - HOUR) * 1000n
      const next = (await store.saveFenced('k', 'three', 60_000)) as bigint
      assert.isTrue(next > before && next < BigInt(ahead))
    })

    test('C1: without a token there is no lock, and the other way round', async ({ assert }) => {
      const table = newTable()
      const store = create(table)
      await store.exists('warm')
      // As if somebody had another use for the name.
      await look().schema.createTable(`${table}_fencing`, (made) => {
        made.string('key', 255).primary()
        made.bigint('token').notNullable()
        made.string('tenant', 10).notNullable()
      })
      const error = await errorOf(() => store.saveFenced('k', 'me', 60_000))
      assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
      assert.match(error.message, /tenant/)
      assert.isTrue(await store.save('k', 'you', 60_000))
      assert.strictEqual(await store.saveFenced('k', 'me', 60_000), false)
      assert.deepEqual(await fencesIn(table), {})
    })

    test('in a transaction of the app, lock and token come and go with it', async ({ assert }) => {
      const table = newTable()
      const store = create(table)
      await store.saveFenced('warm', 'me', 60_000)
      const before = await fencesIn(table)
      const client = connect({ max: 1 })
      const error = await errorOf(() =>
        client.transaction(async (adapter: AtomicDatabaseAdapter) => {
          const within = new DatabaseStore(adapter, { tableName: table })
          assert.strictEqual(typeof (await within.saveFenced('k', 'me', 60_000)), 'bigint')
          // A try that fails must not end the transaction.
          assert.strictEqual(await within.saveFenced('k', 'you', 60_000), false)
          assert.isTrue(await within.exists('k'))
          throw new Error('rolled back')
        })
      )
      assert.equal(error.message, 'rolled back')
      assert.isFalse(await store.exists('k'))
      assert.deepEqual(await fencesIn(table), before)
    })

    test('C20: any identifier is a safe table name: {$self}')
      .with(['order', 'lö"cks`?', "'; drop table x; --"])
      .run(async ({ assert }, table) => {
        const store = create(table)
        const token = (await store.saveFenced('k', 'me', 60_000)) as bigint
        await store.delete('k', 'me')
        assert.isTrue(((await store.saveFenced('k', 'me', 60_000)) as bigint) > token)
      })
  })
}

test.group('fencing | Kysely of other kinds', () => {
  /** The adapter of a dialect that nobody knows. */
  class StrangeAdapter extends kysely.DialectAdapterBase {
    override get supportsCreateIfNotExists() {
      return false
    }
    override get supportsTransactionalDdl() {
      return false
    }
    override get supportsReturning() {
      return false
    }
    override async acquireMigrationLock() {}
    override async releaseMigrationLock() {}
  }

  const inMemory = (plugins: kysely.KyselyPlugin[] = [], adapter?: kysely.DialectAdapter) => {
    const file = new Database(':memory:')
    const dialect = new kysely.SqliteDialect({ database: file })
    if (adapter !== undefined) dialect.createAdapter = () => adapter
    return { file, connection: new kysely.Kysely<any>({ dialect, plugins }) }
  }

  test('a dialect that nobody knows gets plain statements, in a transaction', async ({
    assert,
  }) => {
    const { file, connection } = inMemory([], new StrangeAdapter())
    const store = kyselyStore({ connection }).factory()
    let last = 0n
    for (const [round, ttl] of [60_000, null, 500, 60_000].entries()) {
      const token = (await store.saveFenced('k', `owner ${round}`, ttl)) as bigint
      assert.isTrue(token > last)
      assert.equal(file.prepare('select token from verrou_fencing').pluck().get(), Number(token))
      last = token
      if (ttl === 500) await until(async () => !(await store.exists('k')))
      else {
        assert.strictEqual(await store.saveFenced('k', 'other', 60_000), false)
        await store.delete('k', `owner ${round}`)
      }
    }
    file.exec(`update verrou_fencing set token = ${(Date.now() + HOUR) * 1000}`)
    assert.isTrue(((await store.saveFenced('k', 'me', 60_000)) as bigint) > last + 1000n)
    await connection.destroy()
  })

  test('plugins name the table and its columns, and integers may be BigInts', async ({
    assert,
  }) => {
    const { file, connection } = inMemory([new kysely.CamelCasePlugin({ upperCase: true })])
    file.defaultSafeIntegers(true)
    const store = kyselyStore({ connection, tableName: 'appLocks', fencing: true }).factory()
    assert.isTrue(store.fencing)
    const token = await store.saveFenced('k', 'me', 60_000)
    assert.strictEqual(file.prepare('select TOKEN from APP_LOCKS_FENCING').pluck().get(), token)
    await connection.destroy()
  })
})

test.group('fencing | names', () => {
  test('the name of the table is one that no database cuts, and that the native stores know', ({
    assert,
  }) => {
    const nameOf = (table: string) => fencesOf(['app', table]).join('.')
    assert.equal(nameOf('locks'), 'app.locks_fencing')
    assert.equal(nameOf('t'.repeat(55)), `app.${'t'.repeat(55)}_fencing`)
    assert.equal(nameOf('t'.repeat(56)), `app.${'t'.repeat(46)}_525ebaf7_fencing`)
    const long = [
      't'.repeat(63),
      't'.repeat(64),
      'ä'.repeat(31),
      'ä'.repeat(60),
      `t${'ä'.repeat(60)}`,
    ]
    const names = long.map((table) => fencesOf([table])[0])
    for (const name of names) {
      assert.isAtMost(Buffer.byteLength(name), 63)
      assert.notInclude(name, '\uFFFD')
    }
    assert.equal(new Set(names).size, names.length)
  })
})

test.group('fencing | adapters of others', () => {
  const methods = {
    setTableName() {},
    async createTableIfNotExists() {},
    async insertLock() {},
    acquireLock: async () => 0,
    async deleteLock() {},
    extendLock: async () => 0,
    getLock: async () => undefined,
  } satisfies DatabaseAdapter

  test('one without saveFencedLock: no tokens, and whoever wants them is told', async ({
    assert,
  }) => {
    const store = new DatabaseStore(methods)
    assert.isFalse(store.fencing)
    assert.isUndefined(store.saveFenced)
    const error = await errorOf(() => new DatabaseStore(methods, { fencing: true }))
    assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
    assert.match(error.message, /fencing.+saveFencedLock/)
  })

  test('one with it is asked, for its table too, and deadlocks are tried again', async ({
    assert,
  }) => {
    const calls: string[] = []
    const store = new DatabaseStore(
      {
        ...methods,
        async createFencingTableIfNotExists() {
          calls.push('table')
        },
        async saveFencedLock(key, owner, ttl) {
          calls.push(`${key} ${owner} ${ttl}`)
          if (calls.length === 2) throw Object.assign(new Error('deadlock'), { code: '40P01' })
          return calls.length < 5 && 7n
        },
      },
      { fencing: true }
    )
    assert.isTrue(store.fencing)
    assert.strictEqual(await store.saveFenced('k', 'me', 5), 7n)
    assert.strictEqual(await store.saveFenced('k', 'me', null), 7n)
    assert.strictEqual(await store.saveFenced('k', 'me', null), false)
    assert.deepEqual(calls, ['table', 'k me 5', 'k me 5', 'k me null', 'k me null'])
    const error = await errorOf(() => store.saveFenced('', 'me', 5))
    assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
  })
})
