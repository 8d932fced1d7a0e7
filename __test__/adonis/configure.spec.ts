import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from '@japa/runner'
import Configure from '@adonisjs/core/commands/configure'
import { IgnitorFactory } from '@adonisjs/core/factories'
import ts from 'typescript'
import type { TestContext } from '@japa/runner/core'
import { bootApp, createAppFolder } from './app.js'
import type { AppFolder } from './app.js'

/** The migration of the example app, which its tests run on each kind of database. */
const EXAMPLE = new URL(
  '../../examples/adonis/database/migrations/1763856000000_create_locks_table.ts',
  import.meta.url
)

/** The `configure` command of AdonisJS for the app in `folder`, with the command line `args`. */
async function createCommand(folder: AppFolder, args: string[]) {
  const app = new IgnitorFactory()
    .withCoreProviders()
    .withCoreConfig()
    // Whatever name or path is typed, this package is what ace finds under it.
    .create(folder.url, { importer: () => import('loquet') })
    .createApp('console')
  await app.init()
  await app.boot()

  const ace = await app.container.make('ace')
  ace.ui.switchMode('raw')
  return ace.create(Configure, args)
}

/** Runs `configure` and returns what it printed. */
async function configure(folder: AppFolder, args: string[]) {
  const command = await createCommand(folder, args)
  await command.exec()
  const output = command.logger.getLogs().map(({ message }) => message)
  return { command, output: output.join('\n') }
}

/** An app that was configured for `store` under the usual alias, with a stand-in for the client that the config names. */
async function createConfigured(current: TestContext['test'], store: string) {
  const folder = await createAppFolder(current, '@adonisjs/lock')
  const client = 'node_modules/@aws-sdk/client-dynamodb'
  await folder.write(
    `${client}/package.json`,
    JSON.stringify({ name: '@aws-sdk/client-dynamodb', type: 'module', exports: './index.js' })
  )
  await folder.write(
    `${client}/index.js`,
    'export class DynamoDBClient { async send() { return {} } }'
  )
  await folder.write(
    `${client}/index.d.ts`,
    'export declare class DynamoDBClient {\n' +
      '  constructor(config: { region?: string })\n' +
      '  send(command: { input: object }): Promise<object>\n' +
      '}\n'
  )

  await configure(folder, ['@adonisjs/lock', `--store=${store}`])
  return folder
}

/** A generated file without the white space around it. */
async function readTrimmed(folder: AppFolder, path: string) {
  const contents = await folder.read(path)
  return contents.trim()
}

async function migrationsOf(folder: AppFolder) {
  return readdir(join(folder.root, 'database', 'migrations')).catch(() => [])
}

const memoryEntry = `
    /**
     * Locks of this process only: for tests, and for work
     * that never leaves the process.
     */
    memory: stores.memory(),`

function expectedConfig(packageName: string, store: { import?: string; entry?: string }) {
  return `import env from '#start/env'${store.import ?? ''}
import { defineConfig, stores } from '${packageName}'

const lockConfig = defineConfig({
  /**
   * The store that holds the locks, unless a lock is made
   * through "locks.use". Set per environment in ".env".
   */
  default: env.get('LOCK_STORE'),

  stores: {${store.entry ?? ''}${memoryEntry}
  },
})

export default lockConfig

declare module '${packageName}/types' {
  export interface LockStoresList extends InferLockStores<typeof lockConfig> {}
}`
}

const storeCases = [
  {
    store: 'memory',
    environment: `Env.schema.enum(['memory'] as const)`,
    config: {},
    required: null,
  },
  {
    store: 'redis',
    environment: `Env.schema.enum(['redis', 'memory'] as const)`,
    config: {
      entry: `
    /**
     * Locks shared by all processes that use the same Redis
     * server. Takes the default connection of "config/redis.ts"
     * unless "connectionName" is given.
     */
    redis: stores.redis({}),`,
    },
    required: '@adonisjs/redis',
  },
  {
    store: 'database',
    environment: `Env.schema.enum(['database', 'memory'] as const)`,
    config: {
      entry: `
    /**
     * Locks shared by all processes that use the same database.
     * Takes the default connection of "config/database.ts"
     * unless "connectionName" is given.
     */
    database: stores.database({
      tableName: 'locks',
    }),`,
    },
    required: '@adonisjs/lucid',
  },
  {
    store: 'dynamodb',
    environment: `Env.schema.enum(['dynamodb', 'memory'] as const)`,
    config: {
      import: `\nimport { DynamoDBClient } from '@aws-sdk/client-dynamodb'`,
      entry: `
    /**
     * Locks shared by all processes that use the same DynamoDB
     * table. The client takes the region and the credentials
     * from the environment ("AWS_REGION", ...).
     */
    dynamodb: stores.dynamodb({
      table: { name: 'locks' },
      connection: new DynamoDBClient({}),
    }),`,
    },
    required: '@aws-sdk/client-dynamodb',
  },
]

test.group('AdonisJS | configure', (group) => {
  group.each.timeout(60_000)

  test('writes config, provider and environment for {store}')
    .with(storeCases)
    .run(async ({ assert, test: current }, { store, environment, config, required }) => {
      const folder = await createAppFolder(current, 'loquet')
      const { command, output } = await configure(folder, ['loquet', `--store=${store}`])

      assert.notEqual(command.exitCode, 1)
      assert.equal(await readTrimmed(folder, 'config/lock.ts'), expectedConfig('loquet', config))
      assert.include(await folder.read('adonisrc.ts'), `() => import('loquet/lock_provider')`)
      assert.include(await folder.read('.env'), `LOCK_STORE=${store}`)
      assert.include(await folder.read('start/env.ts'), `LOCK_STORE: ${environment}`)
      assert.lengthOf(await migrationsOf(folder), store === 'database' ? 1 : 0)

      if (required) {
        assert.include(output, `npm i`)
        assert.include(output, required)
      } else {
        assert.notInclude(output, 'install')
      }
    })

  test('names no package to install that the app depends on', async ({ assert, test: current }) => {
    const folder = await createAppFolder(current, 'loquet', {
      dependencies: { '@adonisjs/redis': '^9.0.0' },
    })

    const { output } = await configure(folder, ['loquet', '--store=redis'])
    assert.notInclude(output, 'Please install')
  })

  test('creates the migration of the table that the config names, as the example has it', async ({
    assert,
    test: current,
  }) => {
    const folder = await createAppFolder(current, 'loquet')
    await configure(folder, ['loquet', '--store=database'])

    const [file] = await migrationsOf(folder)
    assert.match(file, /^\d{13}_create_locks_table\.ts$/)
    const example = await readFile(EXAMPLE, 'utf-8')
    assert.equal(await readTrimmed(folder, `database/migrations/${file}`), example.trim())
  })

  test('a second run creates no second migration and keeps a changed config', async ({
    assert,
    test: current,
  }) => {
    const folder = await createAppFolder(current, 'loquet')
    await configure(folder, ['loquet', '--store=database'])
    await folder.write('config/lock.ts', '// changed by hand')

    await configure(folder, ['loquet', '--store=database'])
    assert.lengthOf(await migrationsOf(folder), 1)
    assert.equal(await folder.read('config/lock.ts'), '// changed by hand')
    const rcFile = await folder.read('adonisrc.ts')
    assert.lengthOf(rcFile.split('loquet/lock_provider'), 2)

    await configure(folder, ['loquet', '--store=database', '--force'])
    assert.lengthOf(await migrationsOf(folder), 1)
    assert.include(await folder.read('config/lock.ts'), 'database: stores.database(')
  })

  test('asks for the store when none is given: {$self}')
    .with(['redis', 'memory'])
    .run(async ({ assert, test: current }, store) => {
      const folder = await createAppFolder(current, 'loquet')
      const command = await createCommand(folder, ['loquet'])
      command.prompt
        .trap('Select the storage layer you want to use')
        .assertFails('', 'Please select a store')
        .assertPasses(store)
        .replyWith(store)

      await command.exec()
      command.assertSucceeded()
      assert.include(await folder.read('.env'), `LOCK_STORE=${store}`)
    })

  test('C19: an unknown store is named, with the known ones, and nothing is written', async ({
    assert,
    test: current,
  }) => {
    const folder = await createAppFolder(current, 'loquet')
    const { command, output } = await configure(folder, ['loquet', '--store=foo'])

    command.assertFailed()
    assert.equal(command.exitCode, 1)
    assert.include(
      output,
      'Invalid lock store "foo". Supported stores are: database, redis, dynamodb, and memory'
    )
    assert.equal(await folder.read('.env'), '')
    assert.notInclude(await folder.read('adonisrc.ts'), 'lock_provider')
    await assert.rejects(() => folder.read('config/lock.ts'), /ENOENT/)
  })
})

test.group('AdonisJS | configure | installed name', (group) => {
  group.each.timeout(60_000)

  test('{title}')
    .with([
      {
        title: 'the alias as it was typed',
        typed: '@adonisjs/lock',
        installedAs: '@adonisjs/lock',
        dependencies: {},
        expected: '@adonisjs/lock',
      },
      {
        title: 'the own name as it was typed',
        typed: 'loquet',
        installedAs: 'loquet',
        dependencies: {},
        expected: 'loquet',
      },
      {
        title: 'a path: the alias that package.json has for this package',
        typed: './index.js',
        installedAs: '@adonisjs/lock',
        dependencies: { 'left-pad': '^1.0.0', '@adonisjs/lock': 'npm:loquet@^0.1.0' },
        expected: '@adonisjs/lock',
      },
      {
        title: 'a path: an alias of a tarball, known by the installed manifest',
        typed: './index.js',
        installedAs: 'my-locks',
        dependencies: { 'left-pad': '^1.0.0', 'my-locks': 'file:../loquet.tgz' },
        expected: 'my-locks',
      },
      {
        title: 'a path: another package under the usual alias is not taken for this one',
        typed: './index.js',
        installedAs: 'loquet',
        dependencies: { '@adonisjs/lock': '^1.1.1', 'loquet': '^0.1.0' },
        expected: 'loquet',
      },
      {
        title: 'another alias as it was typed',
        typed: 'my-locks',
        installedAs: 'my-locks',
        dependencies: { 'loquet': '^0.1.0', 'my-locks': 'npm:loquet@0.1.0' },
        expected: 'my-locks',
      },
      {
        title: 'a path in an app that depends on nothing: the own name',
        typed: './index.js',
        installedAs: 'loquet',
        dependencies: {},
        expected: 'loquet',
      },
    ])
    .run(async ({ assert, test: current }, { typed, installedAs, dependencies, expected }) => {
      const folder = await createAppFolder(current, installedAs, { dependencies })
      await configure(folder, [typed, '--store=memory'])

      assert.equal(await readTrimmed(folder, 'config/lock.ts'), expectedConfig(expected, {}))
      assert.include(await folder.read('adonisrc.ts'), `import('${expected}/lock_provider')`)
    })
})

test.group('AdonisJS | configure | what it wrote', (group) => {
  group.each.timeout(60_000)

  test('the config for {store} is loaded by an app, and locks with LOCK_STORE=memory')
    .with(storeCases)
    .run(async ({ assert, test: current }, { store }) => {
      const folder = await createConfigured(current, store)
      await folder.write('.env', 'LOCK_STORE=memory')
      // AdonisJS copies the variables of ".env" there.
      current.cleanup(() => {
        delete process.env.LOCK_STORE
      })

      const { default: config } = await folder.import('config/lock.ts')
      assert.equal(config.default, 'memory')

      const app = await bootApp(current, config)
      const manager = await app.container.make('lock.manager')
      assert.deepEqual(await manager.createLock('key').run(async () => 'ran'), [true, 'ran'])
    })

  test('the configs compile under strict and give use() its names', async ({
    assert,
    test: current,
  }) => {
    const folders = await Promise.all(
      storeCases.map(({ store }) => createConfigured(current, store))
    )
    await folders[0].write(
      'use.ts',
      `import locks from '@adonisjs/lock/services/main'
for (const name of ['memory', 'redis', 'database', 'dynamodb'] as const) locks.use(name)
const names: 'memory' | 'redis' | 'database' | 'dynamodb' = '' as NonNullable<Parameters<typeof locks.use>[0]>
// @ts-expect-error None of the configs has it.
locks.use('other')
export { names }
`
    )

    const program = ts.createProgram({
      rootNames: [
        join(folders[0].root, 'use.ts'),
        ...folders.map(({ root }) => join(root, 'config', 'lock.ts')),
        fileURLToPath(new URL('./typings.ts', import.meta.url)),
      ],
      options: {
        target: ts.ScriptTarget.ESNext,
        module: ts.ModuleKind.NodeNext,
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        types: [],
      },
    })
    const messages = ts
      .getPreEmitDiagnostics(program)
      .map(
        ({ file, messageText }) =>
          `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
      )
    assert.deepEqual(messages, [])
  })
})
