/**
 * The samples of docs/custom-stores.md, as they stand there: they compile, and the stores in them keep the contract.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { test } from '@japa/runner'
import { E_LOCK_STORAGE_ERROR, Verrou } from 'loquet'
import { DatabaseStore } from 'loquet/drivers/database'
import type { AtomicDatabaseAdapter, LockStore } from 'loquet/types'
import ts from 'typescript'

import { registerContractFor } from '../contract/contract.js'
import { samplesOf } from '../docs/samples.js'
import { root } from '../types/consumer.js'
import { errorOf } from '../unit/observe.js'
import { LockDelegate, KnownRequestError } from './prisma_double.js'

const PAGE = 'docs/custom-stores.md'

/** What an app has besides: its clients. */
const AROUND = {
  'db.ts': `
    import Database from 'better-sqlite3'
    import { Kysely, SqliteDialect } from 'kysely'
    interface Shop { orders: { id: number } }
    export const db = new Kysely<Shop>({ dialect: new SqliteDialect({ database: new Database(':memory:') }) })
  `,
  'prisma.ts': `
    import { LockDelegate } from ${JSON.stringify(join(root, '__test__/stores/prisma_double.js'))}
    export const prisma = { lock: new LockDelegate() }
  `,
}

/** Where the app is: within this package, so that it finds what is imported. */
mkdirSync(join(root, 'tmp'), { recursive: true })
const folder = mkdtempSync(join(root, 'tmp', 'custom-stores-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const samples = samplesOf(PAGE).filter(({ language }) => language === 'ts')
const files = Object.fromEntries(samples.map(({ title, code }) => [title!, code]))
for (const [path, code] of Object.entries({ ...AROUND, ...files })) {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), code)
}

const load = (path: string) => import(pathToFileURL(join(folder, path)).href)

interface Samples {
  PrismaAdapter: new (locks: LockDelegate, options?: { isMysql?: boolean }) => AtomicDatabaseAdapter
  SqliteStore: new (filename: string) => LockStore
}

const { PrismaAdapter } = (await load('prisma_adapter.ts')) as Samples
const { SqliteStore } = (await load('sqlite_store.ts')) as Samples

const createPrismaStore = (locks = new LockDelegate()) =>
  new DatabaseStore(new PrismaAdapter(locks), { autoCreateTable: false })
const start = async () => ({ stop: async () => {} })

await registerContractFor({
  title: 'Prisma adapter of the page',
  isNative: false,
  isFenced: false,
  start,
  createStore: () => createPrismaStore(),
})
await registerContractFor({
  title: 'SQLite store of the page',
  isNative: false,
  start,
  createStore: () => new SqliteStore(':memory:'),
})

/** Registers the public suite, as a reader's own spec does. */
await load('tests/sqlite_store.spec.ts')

test.group('Custom stores | page', () => {
  test('the samples compile', ({ assert }) => {
    assert.isTrue(samples.every(({ title }) => title !== undefined))
    const program = ts.createProgram(
      Object.keys({ ...AROUND, ...files }).map((path) => join(folder, path)),
      {
        strict: true,
        noUncheckedIndexedAccess: true,
        noUnusedLocals: true,
        exactOptionalPropertyTypes: true,
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.NodeNext,
        types: ['node'],
        skipLibCheck: true,
        noEmit: true,
      }
    )
    const complaints = ts
      .getPreEmitDiagnostics(program)
      .filter(({ file }) => file === undefined || file.fileName.startsWith(folder))
    assert.deepEqual(
      complaints.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
      []
    )
  })

  test('the programs around them run', async ({ assert }) => {
    const { verrou } = await load('kysely.ts')
    assert.deepEqual(await verrou.createLock('key').run(() => 'ran'), [true, 'ran'])
    const { locks } = await load('prisma_locks.ts')
    assert.deepEqual(await locks.createLock('key').run(() => 'ran'), [true, 'ran'])
  })

  test('the config of the store is one', async ({ assert, test: current }) => {
    const { default: config } = await load('config/lock.ts')
    const before = process.cwd()
    process.chdir(folder)
    current.cleanup(() => process.chdir(before))
    mkdirSync('tmp')
    const { file, memory } = config.stores
    const stores = { file, memory: await memory.resolver({}) }
    const locks = new Verrou({ ...config, stores })
    const lock = locks.createLock('key', '10s')
    assert.isTrue(await lock.acquire())
    assert.isFalse(await locks.use('file').createLock('key').acquireImmediately())
    assert.isTrue(await locks.use('memory').createLock('key').acquireImmediately())
    await lock.release()
  })

  test('C1: two stores on one file exclude each other', async ({ assert }) => {
    const [one, other] = [0, 1].map(() => new SqliteStore(join(folder, 'shared.sqlite3')))
    assert.isTrue(await one.save('key', 'me', 60_000))
    assert.isFalse(await other.save('key', 'you', 60_000))
    await one.delete('key', 'me')
    assert.isTrue(await other.save('key', 'you', 60_000))
  })
})

test.group('Custom stores | Prisma adapter', () => {
  test('a key that is there is a held lock, anything else is an error', async ({ assert }) => {
    const locks = new LockDelegate()
    const store = createPrismaStore(locks)
    assert.isTrue(await store.save('key', 'me', 60_000))
    assert.isFalse(await store.save('key', 'you', 60_000))

    locks.failure = new KnownRequestError('P2024', 'Timed out fetching a new connection')
    const error = await errorOf(() => store.save('free', 'me', 60_000))
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    assert.equal((error.cause as KnownRequestError).code, 'P2024')
  })

  test('a missing table is named, a deadlock is tried again', async ({ assert }) => {
    const locks = new LockDelegate()
    const store = new DatabaseStore(new PrismaAdapter(locks), {
      autoCreateTable: false,
      tableName: 'locks',
    })
    locks.failure = new KnownRequestError('P2021', 'The table does not exist')
    const error = await errorOf(() => store.save('key', 'me', 60_000))
    assert.match(error.message, /"locks" doesn't exist/)

    locks.failure = new KnownRequestError('P2034', 'write conflict or a deadlock')
    assert.isTrue(await store.save('key', 'me', 60_000))
  })

  test('C20: on MySQL, keys that end in blanks are kept apart from those that do not', async ({
    assert,
  }) => {
    const locks = new LockDelegate()
    const adapter = new PrismaAdapter(locks, { isMysql: true })
    const store = new DatabaseStore(adapter, { autoCreateTable: false })
    assert.isTrue(await store.save('key ', 'me', null))
    assert.isNull(await locks.findUnique({ where: { key: 'key ' } }))
    assert.isTrue(await store.save('key', 'me', null))
  })
})
