/**
 * `stores.database()` in an AdonisJS app: settings come from `config/database.ts`, the table from the migration.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { test } from '@japa/runner'
import { defineConfig as defineDatabaseConfig } from '@adonisjs/lucid'
import { LockFactory, defineConfig, stores } from 'loquet'
import { NativeDatabaseStore } from 'loquet/drivers/database'
import type { ApplicationService } from '@adonisjs/core/types'
import type { Database as Lucid } from '@adonisjs/lucid/database'
import type { TestContext } from '@japa/runner/core'
import type { DatabaseStoreConfig } from 'loquet/types'

import { bootApp, captureLog } from '../adonis/app.js'
import { samplesOf } from '../docs/samples.js'
import { errorOf, until } from '../unit/observe.js'
import { KINDS, OWN_POOL, startDatabase } from './knexes.js'
import type { Database } from './knexes.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

const lockConfig = (options?: DatabaseStoreConfig) =>
  defineConfig({
    default: 'database',
    stores: { memory: stores.memory(), database: stores.database(options) },
  })

/** An app whose `config/database.ts` is the given one; it has nothing else. */
const appWith = (database: unknown) => ({
  container: {
    make: async (binding: string): Promise<unknown> => {
      if (binding !== 'config') throw new Error(`unexpected binding ${binding}`)
      return { get: (key: string) => (key === 'database' ? database : undefined) }
    },
  },
})

const lucidOf = (app: ApplicationService) => app.container.make('lucid.db') as Promise<Lucid>

/** The migration that `configure` writes. */
function locksMigration(tableName: string): string {
  const stub = readFileSync(join(root, 'stubs/make/migration/locks.stub'), 'utf8')
  return stub.replace(/^\{\{\{.*?\}\}\}\n/s, '').replace('{{ tableName }}', tableName)
}

/** The one of the fencing tokens that the docs show. */
function tokensMigration(tableName: string): string {
  const found = samplesOf('docs/fencing.md').find(({ title }) => title?.includes('/migrations/'))
  return found!.code.replace("'locks_fencing'", `'${tableName}_fencing'`)
}

/** Runs a migration, up or down. */
async function migrate(app: ApplicationService, migrationCode: string, direction: 'up' | 'down') {
  const code = migrationCode.replace(/^ {2}protected /m, '  ')
  mkdirSync(join(root, 'tmp'), { recursive: true })
  const folder = mkdtempSync(join(root, 'tmp', 'migration-'))
  try {
    const file = join(folder, 'migration.ts')
    writeFileSync(file, code)
    const { default: Migration } = await import(pathToFileURL(file).href)
    const lucid = await lucidOf(app)
    const migration = new Migration(lucid.connection(), file, false)
    await (direction === 'up' ? migration.execUp() : migration.execDown())
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test.group('AdonisJS | database, names', () => {
  const connection = { client: 'pg', connection: { host: 'one' } }
  const connections = { main: connection, other: connection }

  test('the connection is the default one, or the named one: {$self}')
    .with([undefined, 'main', 'other'])
    .run(async ({ assert }, connectionName) => {
      const app = appWith({ connection: 'main', connections })
      const { driver } = await stores.database({ connectionName }).resolver(app)

      assert.instanceOf(driver.factory(), NativeDatabaseStore)
      assert.notStrictEqual(driver.factory(), driver.factory())
    })

  test('C19: an unknown connection is an error with the known ones: {$self}')
    .with(['primray', 'constructor', ''])
    .run(async ({ assert }, connectionName) => {
      const app = appWith({ connection: 'main', connections })
      const error = await errorOf(() => stores.database({ connectionName }).resolver(app))

      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      assert.equal(
        error.message,
        `Unknown database connection "${connectionName}" of a lock store. Known connections are: main, other`
      )
    })

  test('C19: a default that is missing is told', async ({ assert }) => {
    const error = await errorOf(() => stores.database().resolver(appWith({ connections })))

    assert.include(error.message, 'neither "connectionName" in "config/lock.ts" nor "connection"')
  })

  test('C19: an app without @adonisjs/lucid is told what to do', async ({ assert }) => {
    for (const database of [undefined, {}, { connections: null }]) {
      const error = await errorOf(() => stores.database().resolver(appWith(database)))

      assert.equal(error.code, 'E_LOCK_STORE_UNAVAILABLE')
      assert.include(error.message, 'Run "node ace add @adonisjs/lucid"')
    }
  })

  test('C19: a dialect in which no lock can be kept is refused', async ({ assert }) => {
    const redshift = { client: 'redshift', connection: { host: 'a' } }
    const app = appWith({ connection: 'main', connections: { main: redshift } })
    const error = await errorOf(() => stores.database().resolver(app))

    assert.include(error.message, '"redshift" lets two rows have the same primary key')
  })
})

for (const kind of KINDS) {
  test.group(`AdonisJS | database, ${kind}`, (group) => {
    let database: Database
    group.setup(async () => {
      database = await startDatabase(kind)
      return () => database.stop()
    })

    const boot = (
      current: TestContext['test'],
      options: { store?: DatabaseStoreConfig; config?: object } = {},
      destination?: NodeJS.WritableStream
    ) =>
      bootApp(current, lockConfig(options.store), {
        database: defineDatabaseConfig({
          connection: 'main',
          connections: { main: { ...database.config, ...options.config } as never },
        }),
        destination,
      })

    test('the migration makes a table that tells keys apart', async ({ assert, test: current }) => {
      const app = await boot(current, { store: { tableName: 'migrated' } })
      const manager = await app.container.make('lock.manager')
      const missing = await errorOf(() => manager.createLock('key').acquire())
      assert.equal(missing.code, 'E_LOCK_STORAGE_ERROR')
      assert.match(missing.message, /"migrated".+migration/)

      await migrate(app, locksMigration('migrated'), 'up')
      for (const key of ['Order', 'order', 'ordér', 'order ']) {
        assert.isTrue(await manager.createLock(key, 60_000).acquireImmediately(), key)
      }
      await migrate(app, locksMigration('migrated'), 'down')
      const lucid = await lucidOf(app)
      assert.isFalse(await lucid.connection().schema.hasTable('migrated'))
    })

    test('fenced locks want the table of the tokens, and the migration of the docs makes it', async ({
      assert,
      test: current,
    }) => {
      for (const config of [{}, { pool: OWN_POOL }]) {
        const tableName = 'with_tokens'
        const app = await boot(current, { store: { tableName, fencing: true }, config })
        const manager = await app.container.make('lock.manager')
        await migrate(app, locksMigration(tableName), 'up')
        const lock = manager.createLock('key', 60_000)
        const missing = await errorOf(() => lock.acquire())
        assert.equal(missing.code, 'E_LOCK_STORAGE_ERROR')
        assert.match(missing.message, /with_tokens_fencing.+migration/)
        assert.isFalse(lock.isHeld())
        assert.isFalse(await lock.isLocked())

        await migrate(app, tokensMigration(tableName), 'up')
        const tokens: bigint[] = []
        for (const key of ['Order', 'order', 'ordér']) {
          const each = manager.createLock(key, 60_000)
          assert.isTrue(await each.acquireImmediately(), key)
          tokens.push(each.fencingToken!)
          await each.release()
          assert.isTrue(await each.acquireImmediately(), key)
          assert.isTrue(each.fencingToken! > tokens.at(-1)!)
        }
        for (const made of [tokensMigration(tableName), locksMigration(tableName)]) {
          await migrate(app, made, 'down')
        }
      }
    })

    for (const { way, config, made } of [
      { way: 'native connections', config: {}, made: 0 },
      { way: "the app's own connection", config: { pool: OWN_POOL }, made: 1 },
    ]) {
      test(`${way} are made by the first lock, with the settings of config/database.ts`, async ({
        assert,
        test: current,
      }) => {
        const store = { tableName: `locks_${made}`, autoCreateTable: true }
        const app = await boot(current, { store, config })
        const lucid = await lucidOf(app)
        const countConnections = () =>
          [...lucid.manager.connections.values()].filter(({ state }) => state === 'open').length
        const manager = await app.container.make('lock.manager')
        const lock = manager.use('database').createLock('order.1')
        assert.equal(countConnections(), 0)

        assert.isTrue(await lock.acquireImmediately())
        assert.equal(countConnections(), made)
        const [row] = await lucid.from(`locks_${made}`).where('key', 'order.1')
        assert.equal(row.owner, lock.getOwner())
        await manager.restoreLock(lock.serialize()).release()
        assert.isFalse(await lock.isLocked())
      })

      test(`the shutdown ends waits on ${way}`, async ({ assert, test: current }) => {
        const store = { tableName: `locks_${made}`, autoCreateTable: true }
        const app = await boot(current, { store, config })
        const manager = await app.container.make('lock.manager')
        const held = manager.createLock('held', 60_000)
        assert.isTrue(await held.acquire())
        const waiting = errorOf(() => manager.createLock('held').acquire())
        await until(() => held.isLocked())
        await app.terminate()

        const { code } = await waiting
        assert.equal(code, 'E_LOCK_CLOSED')
      })
    }

    test('the own connection is told once in the log of the app, with the option', async ({
      assert,
      test: current,
    }) => {
      const { lines, destination } = captureLog()
      const store = { tableName: 'told', autoCreateTable: true }
      const app = await boot(current, { store, config: { pool: OWN_POOL } }, destination)
      const manager = await app.container.make('lock.manager')
      for (let round = 0; round < 3; round++) await manager.createLock('key').run(() => {})

      const told = lines.filter(({ level, pkg }) => level === 40 && pkg === 'loquet')
      assert.lengthOf(told, 1)
      assert.include(told[0], { store: 'database' })
      assert.include(told[0].msg, '"pool.afterCreate" can\'t be carried over')
    })

    test('a store of one app is a store like any other', async ({ assert, test: current }) => {
      const app = await boot(current)
      const provider = stores.database({ autoCreateTable: true, tableName: 'plain' })
      const { driver } = await provider.resolver(app as never)
      const factory = new LockFactory(driver.factory())

      assert.deepEqual(await factory.createLock('key').run(() => 'ran'), [true, 'ran'])
    })
  })
}
