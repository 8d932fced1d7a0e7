/**
 * Connections that can't be made natively: the store then runs on the app's own knex instance, and says so.
 */
import { test } from '@japa/runner'
import * as peer from '@verrou/core'
import { knexStore as peerKnexStore } from '@verrou/core/drivers/knex'
import { E_LOCK_STORAGE_ERROR, LockFactory, Verrou } from 'loquet'
import { NativeDatabaseStore } from 'loquet/drivers/database'
import { knexStore } from 'loquet/drivers/knex'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { KnexStoreOptions } from 'loquet/types'

import { PATIENCE } from '../contract/patience.js'
import { FaultProxy } from '../faults/proxy.js'
import { runCollected } from '../stores/collected_suite.js'
import { assertNotOwned, errorOf, isPending, until } from '../unit/observe.js'
import { RecordingLogger } from '../unit/recording_logger.js'
import { KINDS, OWN_POOL, placeOf, startDatabase } from './knexes.js'
import type { Database } from './knexes.js'
import { startMariadb, startPostgres } from './servers.js'
import { knex } from './translations.js'

const inMemory = () =>
  knex({
    client: 'better-sqlite3',
    connection: { filename: ':memory:' },
    useNullAsDefault: true,
  })

const factoryOn = (options: KnexStoreOptions) => new LockFactory(knexStore(options).factory())

const warningsOf = ({ lines }: RecordingLogger) =>
  lines.filter(({ level }) => level === 'warn').map(({ message }) => message)

for (const kind of KINDS) {
  test.group(`Database on the own connection | ${kind}`, (group) => {
    let database: Database
    group.setup(async () => {
      database = await startDatabase(kind)
      return () => database.stop()
    })

    test('the public suite passes', async ({ assert }) => {
      const connection = database.connect({ pool: OWN_POOL })
      const store = knexStore({ connection, commandTimeout: PATIENCE }).factory()
      await store.save('the table', 'is there', null)
      const { count, failures } = await runCollected(assert, (collect) =>
        registerStoreTestSuite({ test: collect, createStore: () => store })
      )

      assert.deepEqual(failures, {})
      assert.isAtLeast(count, 15)
    })

    test('the rows are those of the peer, and either sees the locks of the other', async ({
      assert,
    }) => {
      const connection = database.connect({ pool: OWN_POOL })
      const options = { connection, tableName: 'shared' }
      const lock = factoryOn(options).createLock('rows', 60_000)
      const peers = new peer.LockFactory(peerKnexStore(options).factory()).createLock('rows')
      await lock.acquire()

      const [row] = await connection.table('shared').where('key', 'rows').select('*')
      assert.equal(row.owner, lock.getOwner())
      assert.closeTo(Number(row.expiration), Date.now() + 60_000, 5000)
      assert.isTrue(await peers.isLocked())
      assert.isFalse(await peers.acquireImmediately())
      await lock.release()

      assert.isTrue(await peers.acquireImmediately())
      assert.isFalse(await lock.acquireImmediately())
      await assertNotOwned(assert, () => lock.release())
      await peers.release()
    })

    test('a native store and one on the own connection exclude each other', async ({ assert }) => {
      const own = factoryOn({ connection: database.connect({ pool: OWN_POOL }) })
      const native = factoryOn({ connection: database.connect() })
      for (const key of ['both', 'long '.repeat(60), 'nul\0', 'blank ']) {
        const [first, second] = [own.createLock(key, 60_000), native.createLock(key, 60_000)]
        assert.isTrue(await first.acquireImmediately(), key)
        assert.isFalse(await second.acquireImmediately(), key)
        await native.restoreLock(first.serialize()).release()
        assert.isTrue(await second.acquireImmediately(), key)
        assert.isFalse(await first.acquireImmediately(), key)
        await own.restoreLock(second.serialize()).release()
      }
    })

    test('C8: waiters of a process get their turn in order', async ({ assert }) => {
      const factory = factoryOn({ connection: database.connect({ pool: OWN_POOL }) })
      const held = factory.createLock('turns')
      await held.acquire()
      const order: number[] = []
      const runs = [0, 1, 2].map((turn) =>
        factory.createLock('turns').run(() => void order.push(turn))
      )
      assert.isTrue(await isPending(Promise.race(runs)))
      await held.release()
      await Promise.all(runs)

      assert.deepEqual(order, [0, 1, 2])
    })
  })
}

test.group('Database on the own connection | faults', () => {
  const SERVERS = {
    Postgres: { client: 'pg', start: startPostgres },
    MariaDB: { client: 'mysql2', start: startMariadb },
  }

  test(
    'C22: a server that is down ends calls with an error, and is used again when it is back: {$self}'
  )
    .with(Object.keys(SERVERS) as (keyof typeof SERVERS)[])
    .run(async ({ assert, test: current }, kind) => {
      const { client, start } = SERVERS[kind]
      const server = await start()
      current.cleanup(() => server.stop())
      const connection = knex({
        client,
        connection: placeOf(server),
        pool: { ...OWN_POOL, min: 0 },
        log: { warn() {} },
      })
      current.cleanup(() => connection.destroy())
      const lock = factoryOn({ connection, commandTimeout: 1500 }).createLock('down')
      assert.isTrue(await lock.acquire())
      await server.kill()

      const calls = {
        release: () => lock.release(),
        extend: () => lock.extend(),
        acquire: () => lock.acquire(),
        isLocked: () => lock.isLocked(),
        forceRelease: () => lock.forceRelease(),
      }
      for (const [name, call] of Object.entries(calls)) {
        const error = await errorOf(call)
        assert.instanceOf(error, E_LOCK_STORAGE_ERROR, name)
        assert.instanceOf(error.cause, Error, name)
      }
      await server.restart()
      await until(() =>
        lock.isLocked().then(
          () => true,
          () => false
        )
      )
      await lock.forceRelease()
      assert.isTrue(await lock.acquireImmediately())
      await lock.release()
    })

  test('C6: an acquire whose reply was lost leaves no lease', async ({ assert, test: current }) => {
    const server = await startPostgres()
    current.cleanup(() => server.stop())
    const proxy = await FaultProxy.start(server)
    current.cleanup(() => proxy.stop())
    const connection = knex({
      client: 'pg',
      connection: { ...placeOf(server), host: proxy.host, port: proxy.port },
      pool: { ...OWN_POOL, min: 0 },
      log: { warn() {} },
    })
    current.cleanup(() => connection.destroy())
    const factory = factoryOn({ connection })
    await factory.createLock('warm').run(() => {})
    const lost = proxy.next('reply-lost', (request: Buffer) => request.includes('lost'))
    const lock = factory.createLock('lost', null)
    const error = await errorOf(() => lock.acquire())
    await lost

    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    const rows = () => server.query("select owner from verrou where key = 'lost'")
    await until(async () => {
      const found = await rows()
      return found.length === 0
    })
    assert.isTrue(await factory.createLock('lost').acquireImmediately())
  })
})

test.group('Database on the own connection | notice', () => {
  test('it is said once, with the reason, in the log of whoever uses it first', async ({
    assert,
    test: current,
  }) => {
    const connection = inMemory()
    current.cleanup(() => connection.destroy())
    const logger = new RecordingLogger()
    const store = knexStore({ connection }).factory()
    const driver = { factory: () => store }
    const verrou = new Verrou({ default: 'database', stores: { database: { driver } }, logger })
    assert.isEmpty(warningsOf(logger))

    await verrou.createLock('key').run(() => {})
    await new LockFactory(store, { logger }).createLock('key').run(() => {})
    await store.save('key', 'me', 60_000)

    assert.deepEqual(warningsOf(logger), [
      "The database lock store runs on the app's own knex connection, since the database is in memory",
    ])
  })

  test('without a logger a process warning, once', async ({ assert, test: current }) => {
    const warnings: (Error & { code?: string })[] = []
    const listen = (warning: Error) => void warnings.push(warning)
    process.on('warning', listen)
    current.cleanup(() => void process.off('warning', listen))
    const made = [1, 2].map(() =>
      knex({ client: 'pg', connection: { host: 'a', shoeSize: 43 } as object, pool: { min: 0 } })
    )
    for (const connection of made) new LockFactory(knexStore({ connection }).factory())
    await until(() => warnings.length > 0)
    await new Promise(setImmediate)

    assert.lengthOf(warnings, 1)
    assert.equal(warnings[0].code, 'LOQUET_DATABASE_CONNECTION')
    assert.include(warnings[0].message, '"shoeSize" isn\'t known')
  })

  test('a method that a subclass overrides is called', async ({ assert, test: current }) => {
    const connection = inMemory()
    current.cleanup(() => connection.destroy())
    const saved: string[] = []
    class Counting extends NativeDatabaseStore {
      override async save(key: string, owner: string, ttl: number | null) {
        saved.push(key)
        return super.save(key, owner, ttl)
      }
    }
    await new LockFactory(new Counting({ connection })).createLock('key').run(() => {})

    assert.deepEqual(saved, ['key'])
  })

  test('a transaction is used as it is', async ({ assert, test: current }) => {
    const connection = inMemory()
    current.cleanup(() => connection.destroy())
    await connection.transaction(async (transaction) => {
      const factory = factoryOn({ connection: transaction })
      assert.deepEqual(await factory.createLock('key').run(() => 'ran'), [true, 'ran'])
    })
  })
})
