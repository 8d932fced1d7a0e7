/**
 * `DatabaseStore` over the adapters of ours, and over such that others have written.
 */
import { test } from '@japa/runner'
import { DatabaseStore as PeerStore } from '@verrou/core/drivers/database'
import { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR } from 'loquet'
import { DatabaseStore } from 'loquet/drivers/database'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { DatabaseAdapter } from 'loquet/types'

import { runCollected } from '../stores/collected_suite.js'
import { errorOf, until } from '../unit/observe.js'
import { KINDS, startDatabase } from './knexes.js'
import type { Database } from './knexes.js'
import { CLIENTS } from './own_clients.js'
import type { ClientName, ClientOptions, OwnClient } from './own_clients.js'
import type { KnexConfig } from './topologies.js'

/** Names that have to be quoted, or that somebody might take for something else. */
const TABLES = ['order', 'my locks', 'lö"cks`?', "'; drop table x; --", 'Locks']

/** Keys that columns or comparisons treat in ways of their own. */
const KEYS = [
  'Foo',
  'foo',
  'foo ',
  ' foo',
  'föö',
  'foo\0bar',
  '%',
  "'",
  '\u{1f512}',
  'k'.repeat(256),
]

const CASES = (Object.keys(CLIENTS) as ClientName[]).flatMap((name) =>
  KINDS.map((kind) => ({ name, kind }))
)

for (const { name, kind } of CASES) {
  test.group(`${name} | ${kind}`, (group) => {
    let database: Database
    const clients: OwnClient[] = []
    let tables = 0
    group.setup(async () => {
      database = await startDatabase(kind)
      return async () => {
        await Promise.all(clients.map((client) => client.destroy()))
        await database.stop()
      }
    })
    const tableName = () => `locks_${tables++}`
    const connect = (options?: ClientOptions) => {
      const client = CLIENTS[name](database.config as KnexConfig, options)
      clients.push(client)
      return client
    }
    const create = (table = tableName(), autoCreateTable = true) =>
      new DatabaseStore(connect({ max: 4 }).adapter(), { tableName: table, autoCreateTable })

    test('C1: our store over the adapter of the peer keeps locks, and the other way round', async ({
      assert,
    }) => {
      const options = { tableName: tableName() }
      const client = connect()
      // The peer's would make the table while others do.
      await new DatabaseStore(client.adapter(), options).exists('key')
      const stores = [
        new DatabaseStore(client.adapter(), options),
        new DatabaseStore(client.peerAdapter(), options),
        new PeerStore(client.adapter(), options),
        new PeerStore(client.peerAdapter(), options),
      ]
      for (const [at, holder] of stores.entries()) {
        assert.isTrue(await holder.save('key', `owner ${at}`, 60_000))
        for (const other of stores) assert.isFalse(await other.save('key', 'other', 60_000))
        for (const other of stores) assert.isTrue(await other.exists('key'))
        await stores[(at + 1) % stores.length].extend('key', `owner ${at}`, 60_000)
        await stores[(at + 2) % stores.length].delete('key', `owner ${at}`)
      }
    })

    test('C20: any identifier is a safe table name: {$self}')
      .with(TABLES)
      .run(async ({ assert }, table) => {
        const store = create(table)

        assert.isTrue(await store.save('key', 'me', 60_000))
        assert.isFalse(await store.save('key', 'you', 60_000))
        await store.extend('key', 'me', 60_000)
        await store.delete('key', 'me')
        assert.isFalse(await store.exists('key'))
      })

    test('C20: different keys are different locks', async ({ assert }) => {
      const store = create()
      for (const key of KEYS) assert.isTrue(await store.save(key, 'me'.repeat(200), 60_000), key)
      for (const key of KEYS) {
        assert.isFalse(await store.save(key, 'you', 60_000), key)
        await store.delete(key, 'me'.repeat(200))
      }
      for (const key of KEYS) assert.isFalse(await store.exists(key), key)
    })

    test('C2: an expired lease is taken over once, and its holder can do nothing', async ({
      assert,
    }) => {
      const store = create()
      assert.isTrue(await store.save('key', 'old', 60_000))
      await store.extend('key', 'old', 20)
      await until(async () => !(await store.exists('key')))
      await store.extend('key', 'old', 60_000).then(
        () => assert.fail('revived'),
        (error) => assert.instanceOf(error, E_LOCK_NOT_OWNED)
      )
      assert.instanceOf(await errorOf(() => store.delete('key', 'old')), E_LOCK_NOT_OWNED)

      const owners = Array.from({ length: 8 }, (_, at) => `new ${at}`)
      const won = await Promise.all(owners.map((owner) => store.save('key', owner, 60_000)))
      assert.lengthOf(won.filter(Boolean), 1)
      const winner = owners[won.indexOf(true)]
      assert.instanceOf(await errorOf(() => store.delete('key', 'old')), E_LOCK_NOT_OWNED)
      await store.delete('key', winner)
    })

    test('C1: of many at once one gets a new lock', async ({ assert }) => {
      const table = tableName()
      const stores = Array.from({ length: 4 }, () => create(table))
      for (let round = 0; round < 5; round++) {
        const tries = Array.from({ length: 16 }, (_, at) =>
          stores[at % 4].save(`key ${round}`, `owner ${at}`, 60_000)
        )
        const won = await Promise.all(tries)
        assert.lengthOf(won.filter(Boolean), 1)
      }
    })

    test('the table is created by several at once, with the first lock and not before', async ({
      assert,
    }) => {
      const table = tableName()
      const connection = database.connect()
      const stores = Array.from({ length: 6 }, () => create(table))
      assert.isFalse(await connection.schema.hasTable(table))

      await Promise.all(stores.map((store, at) => store.save('key', `owner ${at}`, 60_000)))
      assert.isTrue(await connection.schema.hasTable(table))
      await connection.schema.dropTable(table)
      assert.isTrue(await stores[0].save('key', 'again', 60_000))
    })

    test('a missing table is an error that names it and says what to do', async ({ assert }) => {
      const store = create('absent', false)
      for (const call of [
        () => store.save('key', 'me', 60_000),
        () => store.delete('key', 'me'),
        () => store.extend('key', 'me', 60_000),
        () => store.exists('key'),
        () => store.forceDelete('key'),
      ]) {
        const error = await errorOf(call)
        assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
        assert.match(error.message, /"absent".+migration.+autoCreateTable/)
        assert.instanceOf(error.cause, Error)
      }
    })

    test('a lock in a transaction lasts if it is committed', async ({ assert }) => {
      const options = { tableName: tableName() }
      const store = create(options.tableName)
      await store.save('warm', 'me', 60_000)
      await connect({ max: 1 }).transaction(async (adapter) => {
        const within = new DatabaseStore(adapter, options)
        assert.isTrue(await within.save('key', 'me', 60_000))
        // A try that fails must not end the transaction.
        assert.isFalse(await within.save('key', 'you', 60_000))
        assert.isTrue(await within.exists('key'))
      })
      assert.isTrue(await store.exists('key'))
    })

    test('what is in the way is told from what has failed', async ({ assert }) => {
      const options = { tableName: tableName() }
      const connection = database.connect()
      await connection.schema.createTable(options.tableName, (table) => {
        table.string('key', 255).primary()
        table.string('owner', 255).notNullable()
        table.bigint('expiration')
        table.string('tenant', 10).notNullable()
      })
      const store = new DatabaseStore(connect().adapter(), options)
      const error = await errorOf(() => store.save('key', 'me', 60_000))

      assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
      assert.match(error.message, /tenant/)
    })

    test('C18: bad input is named before anything is sent', async ({ assert }) => {
      const store = create('absent', false)
      for (const call of [
        () => store.save('', 'me', 1),
        () => store.save('key', '', 1),
        () => store.save('key', 'me', 0),
        () => store.delete('key', undefined as never),
        () => store.extend('key', 'me', null as never),
        () => store.exists(7 as never),
        () => store.forceDelete(null as never),
      ]) {
        const { code } = await errorOf(call)
        assert.equal(code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      }
    })
  })
}

/** An adapter with the methods of the peer's interface only, over an array. */
class ArrayAdapter implements DatabaseAdapter {
  readonly rows = new Map<string, { owner: string; expiration: number | null }>()
  tables = 0
  /** Thrown once by the named method: before it does anything, or after. */
  failure: { method: string; error: Error; isDone: boolean } | undefined

  setTableName(): void {}

  async createTableIfNotExists() {
    await this.#step('createTableIfNotExists', () => this.tables++)
  }

  async insertLock({ key, ...row }: { key: string; owner: string; expiration: number | null }) {
    await this.#step('insertLock', () => {
      if (this.rows.has(key)) throw new Error('taken')
      this.rows.set(key, row)
    })
  }

  acquireLock({ key, ...row }: { key: string; owner: string; expiration: number | null }) {
    return this.#step('acquireLock', () => {
      const { expiration = null } = this.rows.get(key) ?? {}
      if (expiration === null || expiration > Date.now()) return 0
      this.rows.set(key, row)
      return 1
    })
  }

  async deleteLock(key: string, owner?: string) {
    await this.#step('deleteLock', () => {
      if (owner === undefined || this.rows.get(key)?.owner === owner) this.rows.delete(key)
    })
  }

  extendLock(key: string, owner: string, duration: number) {
    return this.#step('extendLock', () => {
      const row = this.rows.get(key)
      if (row?.owner !== owner) return 0
      row.expiration = Date.now() + duration
      return 1
    })
  }

  getLock(key: string) {
    return this.#step('getLock', () => this.rows.get(key))
  }

  async #step<T>(method: string, change: () => T): Promise<T> {
    await Promise.resolve()
    const { failure } = this
    if (failure?.method !== method) return change()
    this.failure = undefined
    if (failure.isDone) change()
    throw failure.error
  }
}

test.group('DatabaseStore | adapters of others', () => {
  test('the public suite passes', async ({ assert }) => {
    const { count, failures } = await runCollected(assert, (collect) =>
      registerStoreTestSuite({
        test: collect,
        createStore: () => new DatabaseStore(new ArrayAdapter(), {}),
      })
    )
    assert.deepEqual(failures, {})
    assert.isAtLeast(count, 15)
  })

  test('an insert that fails is no held lock', async ({ assert }) => {
    const adapter = new ArrayAdapter()
    const store = new DatabaseStore(adapter, {})
    adapter.insertLock = async () => {
      throw new Error('value too long')
    }
    const error = await errorOf(() => store.save('key', 'me', 60_000))

    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    assert.equal((error.cause as Error).message, 'value too long')
  })

  test('C6: an insert whose reply was lost is found out', async ({ assert }) => {
    const adapter = new ArrayAdapter()
    const store = new DatabaseStore(adapter, {})
    adapter.failure = { method: 'insertLock', error: new Error('ECONNRESET'), isDone: true }

    assert.isTrue(await store.save('key', 'me', 60_000))
    await store.delete('key', 'me')
  })

  test('C6: an acquire that fails leaves no lease, and the next one of its owner stays', async ({
    assert,
  }) => {
    const adapter = new ArrayAdapter()
    const store = new DatabaseStore(adapter, {})
    adapter.rows.set('key', { owner: 'old', expiration: 1 })
    adapter.failure = { method: 'acquireLock', error: new Error('ECONNRESET'), isDone: true }
    const error = await errorOf(() => store.save('key', 'me', null))

    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    await until(() => adapter.rows.size === 0)
    assert.isTrue(await store.save('key', 'me', null))
    await new Promise((done) => setTimeout(done, 50))
    assert.isTrue(await store.exists('key'))
  })

  test('C22: a call ends by commandTimeout; what comes late is taken back', async ({ assert }) => {
    const adapter = new ArrayAdapter()
    const store = new DatabaseStore(adapter, { commandTimeout: 30 })
    const insert = adapter.insertLock.bind(adapter)
    let goOn = () => {}
    adapter.insertLock = async (lock) => {
      await new Promise<void>((done) => (goOn = done))
      return insert(lock)
    }
    const error = await errorOf(() => store.save('key', 'me', null))
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    assert.include(error.message, 'within 30 ms')
    adapter.insertLock = insert
    const again = store.save('key', 'me', null).catch(() => false)

    goOn()
    await again
    await until(() => adapter.rows.size === 0 || adapter.rows.get('key')?.owner === 'me')
  })

  test('a table that could not be created is tried again, and nothing is left unhandled', async ({
    assert,
  }) => {
    const adapter = new ArrayAdapter()
    adapter.failure = {
      method: 'createTableIfNotExists',
      error: new Error('down'),
      isDone: false,
    }
    const store = new DatabaseStore(adapter, {})
    await new Promise(setImmediate)
    assert.isDefined(adapter.failure)

    const error = await errorOf(() => store.save('key', 'me', 60_000))
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    assert.isTrue(await store.save('key', 'me', 60_000))
    assert.isTrue(await store.exists('key'))
    assert.equal(adapter.tables, 1)
  })

  test('without autoCreateTable nothing is created', async ({ assert }) => {
    const adapter = new ArrayAdapter()
    await new DatabaseStore(adapter, { autoCreateTable: false }).save('key', 'me', 60_000)

    assert.equal(adapter.tables, 0)
  })
})
