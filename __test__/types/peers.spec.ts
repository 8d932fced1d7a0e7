/**
 * Whoever comes from `@verrou/core` or `@adonisjs/lock` finds every name again, and code that compiled still does.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from '@japa/runner'
import { createConsumer, root } from './consumer.js'
import { exportsOf } from './entries.js'
import type { Consumer } from './consumer.js'

/** The entries of the peers, and ours that replaces each. */
const ENTRIES: Record<string, string> = {
  '@verrou/core': 'loquet',
  '@verrou/core/types': 'loquet/types',
  '@verrou/core/drivers/memory': 'loquet/drivers/memory',
  '@verrou/core/drivers/redis': 'loquet/drivers/redis',
  '@verrou/core/drivers/database': 'loquet/drivers/database',
  '@verrou/core/drivers/knex': 'loquet/drivers/knex',
  '@verrou/core/drivers/kysely': 'loquet/drivers/kysely',
  '@verrou/core/drivers/dynamodb': 'loquet/drivers/dynamodb',
  '@verrou/core/test_suite': 'loquet/test_suite',
  'adonis-lock': 'loquet',
  'adonis-lock/types': 'loquet/types',
  'adonis-lock/lock_provider': 'loquet/lock_provider',
  'adonis-lock/services/main': 'loquet/services/main',
}

/** Entries that come with the stores of other storages. */
const COMING_ENTRIES: string[] = []

/** Names of `./types` that come with the stores whose options they are. */
const COMING_NAMES: string[] = []

/** Public members of the peers that ours don't have, and why. */
const LEFT_OUT: Record<string, string> = {
  'MemoryStore.getOrCreateForKey':
    'hands out the mutex of async-mutex behind a key: there is none, leases are kept in native memory',
}

/** What this package promises for the stores it has. */
const PROMISED: Record<string, string[]> = {
  'loquet': [
    'defineConfig',
    'stores',
    'errors',
    'configure',
    'Lock',
    'LockFactory',
    'Verrou',
    'E_LOCK_NOT_OWNED',
    'E_LOCK_STORAGE_ERROR',
  ],
  'loquet/types': [
    'LockStore',
    'LockService',
    'LockStoresList',
    'InferLockStores',
    'StoreFactory',
    'SerializedLock',
    'Duration',
    'RetryConfig',
    'LockAcquireOptions',
    'LockFactoryOptions',
    'ResolvedLockConfig',
    'DatabaseAdapter',
    'DatabaseOptions',
    'DynamoDbOptions',
    'RedisStoreOptions',
    'KnexStoreOptions',
    'KyselyOptions',
  ],
  'loquet/lock_provider': ['default'],
  'loquet/services/main': ['default'],
  'loquet/drivers/memory': ['memoryStore', 'MemoryStore'],
  'loquet/drivers/redis': ['redisStore', 'RedisStore'],
  'loquet/drivers/database': ['DatabaseStore', 'NativeDatabaseStore', 'databaseStore'],
  'loquet/drivers/knex': ['knexStore', 'KnexAdapter'],
  'loquet/drivers/kysely': ['kyselyStore', 'KyselyAdapter'],
  'loquet/drivers/dynamodb': ['dynamodbStore', 'DynamoDBStore'],
  'loquet/test_suite': ['registerStoreTestSuite'],
}

type Entries = Awaited<ReturnType<typeof exportsOf>>

test.group('Peers | names', (group) => {
  let entries: Entries
  group.setup(async () => {
    const consumer = await createConsumer({
      installedAs: ['loquet'],
      aliases: { '@verrou/core': '@verrou/core', 'adonis-lock': 'adonis-lock' },
    })
    entries = await exportsOf(consumer, [...Object.keys(ENTRIES), ...Object.keys(PROMISED)])
    await consumer.remove()
  })

  /** Every export of the peers that ours has to have, with ours. */
  function* pairs() {
    for (const [theirs, ours] of Object.entries(ENTRIES)) {
      for (const [name, peer] of entries.get(theirs)!) {
        yield { entry: theirs, name, peer, own: entries.get(ours)?.get(name) }
      }
    }
  }

  test('every entry of the peers is an entry of ours or comes with a store', ({ assert }) => {
    const drivers = readdirSync(join(root, 'node_modules/@verrou/core/build/src/drivers'))
      .filter((file) => file.endsWith('.d.ts'))
      .map((file) => `./drivers/${file.slice(0, -'.d.ts'.length)}`)
    const read = (name: string) =>
      Object.keys(
        (
          JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as {
            exports: Record<string, unknown>
          }
        ).exports
      )
    const of = (name: string, paths: string[]) => paths.map((path) => name + path.slice(1))

    assert.sameMembers(
      [
        ...of('@verrou/core', [
          ...read('@verrou/core').filter((path) => path !== './drivers/*'),
          ...drivers,
        ]),
        ...of('adonis-lock', read('adonis-lock')),
      ],
      [...Object.keys(ENTRIES), ...COMING_ENTRIES]
    )
  })

  test('every name that the peers export is exported by ours', ({ assert }) => {
    const missing = [...pairs()].filter(({ own }) => own === undefined).map(({ name }) => name)

    // Exact: a name that has come has to leave the list.
    assert.sameMembers([...new Set(missing)], COMING_NAMES)
  })

  test('what is a value is a value, what is a type is a type', ({ assert }) => {
    for (const { entry, name, peer, own } of pairs()) {
      if (own === undefined) continue
      assert.isTrue(own.isValue || !peer.isValue, `${entry}: ${name} is not a value`)
      assert.isTrue(own.isType || !peer.isType, `${entry}: ${name} is not a type`)
    }
  })

  test('every public member of the peers is a member of ours', ({ assert }) => {
    const missing = new Set<string>()
    let compared = 0
    for (const { name, peer, own } of pairs()) {
      // The members of a constant that is a class with us are those of its instances: looked at when it is used.
      if (own === undefined || (peer.isValue && !peer.isType && own.isType)) continue
      for (const member of peer.members) {
        compared++
        if (!own.members.includes(member)) missing.add(`${name}.${member}`)
      }
    }

    assert.sameMembers([...missing], Object.keys(LEFT_OUT))
    assert.isAbove(compared, 60)
  })

  test('every name that was promised is exported', ({ assert }) => {
    for (const [entry, names] of Object.entries(PROMISED)) {
      for (const name of names) assert.isTrue(entries.get(entry)!.has(name), `${entry}: ${name}`)
    }
  })
})

test.group('Peers | code', () => {
  const code = readFileSync(new URL('peers/user_code.ts', import.meta.url), 'utf8')
  const compile = async (consumer: Consumer) => {
    await consumer.write('user_code.ts', code)
    return consumer.compiler(['user_code.ts'], { skipLibCheck: true })
  }

  test('what is written for them compiles with them', async ({ assert, test: current }) => {
    const consumer = await createConsumer({
      installedAs: [],
      aliases: { '@verrou/core': '@verrou/core', 'adonis-lock': 'adonis-lock' },
    })
    current.cleanup(() => consumer.remove())
    const compiler = await compile(consumer)

    assert.deepEqual(compiler.complaints(), [])
  })

  test('and with ours, installed under their names', async ({ assert, test: current }) => {
    const consumer = await createConsumer({
      installedAs: ['@verrou/core', 'adonis-lock'],
    })
    current.cleanup(() => consumer.remove())
    const compiler = await compile(consumer)

    assert.deepEqual(compiler.complaints(), [])
    assert.includeMembers(compiler.declarations(), [
      'node_modules/@verrou/core/index.d.ts',
      'node_modules/adonis-lock/build/adonis/types.d.ts',
    ])
  })
})
