/**
 * Every code sample of the user guide compiles under `strict`, word for word, against the package as it is installed.
 */
import { test } from '@japa/runner'
import ts from 'typescript'
import { createConsumer } from './consumer.js'
import { APP, APP_MANIFEST, composeFile, readSample, writeApp } from './samples.js'
import type { Complaint, Consumer } from './consumer.js'

/**
 * What the compiler finds wrong in the samples themselves: no typing of a lock package can make these compile. The list
 * is exact, so that a complaint of ours never hides among them.
 */
const MISTAKES_OF_THE_GUIDE: Complaint[] = [
  // A job's payload without a type: `strict` asks for one wherever a parameter is destructured.
  {
    file: 'app/jobs/background_job.ts',
    line: 'async handle({ lock }) {',
    code: 7031,
    message: "Binding element 'lock' implicitly has an 'any' type.",
  },
  // `delete`, `forceDelete` and `extend` of the NoopStore promise `void` (once spelled `Void`) and return `false`.
  ...Array.from({ length: 3 }, () => ({
    file: 'config/noop_lock.ts',
    line: 'return false',
    code: 2322,
    message: "Type 'boolean' is not assignable to type 'void'.",
  })),
  // The factory hands its options to a class that has no constructor.
  {
    file: 'config/noop_lock.ts',
    line: 'return { driver: { factory: () => new NoopStore(options) } }',
    code: 2554,
    message: 'Expected 0 arguments, but got 1.',
  },
]

/** What a person writes below the guide's Noop config, so that `use()` knows its stores as well. */
const NOOP_IS_KNOWN = `
declare module '@adonisjs/lock/types' {
  export interface LockStoresList extends InferLockStores<typeof lockConfig> {}
}
`

const USE = `
import locks from '@adonisjs/lock/services/main'
locks.use('')
`

test.group('User guide | types', (group) => {
  let consumer: Consumer
  let files: string[]
  group.setup(async () => {
    consumer = await createConsumer({
      installedAs: ['@adonisjs/lock'],
      manifest: APP_MANIFEST,
    })
    files = await writeApp(consumer)
    return () => consumer.remove()
  })

  test('every sample compiles under strict, but for the mistakes of its own', ({ assert }) => {
    const compiler = consumer.compiler(files)

    assert.sameDeepMembers(compiler.complaints(), MISTAKES_OF_THE_GUIDE)
    // What was compiled against is the installed package, and its declarations were checked along the way.
    assert.includeMembers(compiler.declarations(), [
      'node_modules/@adonisjs/lock/index.d.ts',
      'node_modules/@adonisjs/lock/build/adonis/types.d.ts',
      'node_modules/@adonisjs/lock/build/adonis/lock_provider.d.ts',
      'node_modules/@adonisjs/lock/build/adonis/services/main.d.ts',
    ])
  })

  test('every sample is part of a file', ({ assert }) => {
    const used = Object.values(APP).flatMap(({ samples }) => samples)
    const stored = ts.sys
      .readDirectory(new URL('document', import.meta.url).pathname, ['.ts'])
      .map((path) => path.slice(path.lastIndexOf('/') + 1))

    assert.sameMembers(used, stored)
    for (const [path, { samples }] of Object.entries(APP)) {
      for (const name of samples) assert.include(composeFile(path), readSample(name))
    }
  })

  test('the samples compile the same in a project of {name}')
    .with([
      { name: 'AdonisJS', options: { experimentalDecorators: true, isolatedModules: true } },
      { name: 'a library that emits declarations', options: { declaration: true } },
      {
        name: 'the strictest settings',
        options: {
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          noImplicitOverride: true,
          noPropertyAccessFromIndexSignature: true,
        },
      },
    ])
    .run(({ assert }, { options }) => {
      assert.sameDeepMembers(consumer.compiler(files, options).complaints(), MISTAKES_OF_THE_GUIDE)
    })

  test('the config compiles when nothing else is compiled with it', ({ assert }) => {
    // `declare module` loads nothing: the entry that is augmented has to come along with the one that is imported.
    assert.deepEqual(consumer.compiler(['config/lock.ts']).complaints(), [])
  })

  test('use() completes the names of the config, and takes no other', async ({ assert }) => {
    await consumer.write('app/use.ts', USE)
    const compiler = consumer.compiler(['types/app.d.ts', 'config/lock.ts', 'app/use.ts'])

    assert.sameMembers(compiler.completions('app/use.ts', "use('"), ['redis', 'database', 'memory'])
    const [complaint, ...others] = compiler.complaints()
    assert.deepEqual(others, [])
    assert.containSubset(complaint, { file: 'app/use.ts', line: "locks.use('')", code: 2345 })
  })

  test('use() completes the custom store of the guide', async ({ assert }) => {
    await consumer.write('app/use.ts', USE)
    await consumer.write('config/noop_known.ts', composeFile('config/noop_lock.ts') + NOOP_IS_KNOWN)
    const alone = consumer.compiler(['types/app.d.ts', 'config/noop_known.ts', 'app/use.ts'])
    const both = consumer.compiler([
      'types/app.d.ts',
      'config/lock.ts',
      'config/noop_known.ts',
      'app/use.ts',
    ])

    assert.sameMembers(alone.completions('app/use.ts', "use('"), ['noop'])
    assert.sameMembers(both.completions('app/use.ts', "use('"), [
      'redis',
      'database',
      'memory',
      'noop',
    ])
  })

  test('use() takes any name as long as the app has declared none', async ({ assert }) => {
    await consumer.write('app/use.ts', USE)

    assert.isEmpty(consumer.compiler(['app/use.ts']).complaints())
  })

  test('defineConfig refuses a default that the environment may set to an unknown store', async ({
    assert,
  }) => {
    await consumer.write(
      'start/env.ts',
      composeFile('start/env.ts').replace("'memory'", "'memory', 'dynamodb'")
    )
    const [complaint, ...others] = consumer.compiler(['adonisrc.ts', 'config/lock.ts']).complaints()
    await consumer.write('start/env.ts', composeFile('start/env.ts'))

    assert.deepEqual(others, [])
    assert.containSubset(complaint, { line: "default: env.get('LOCK_STORE'),", code: 2322 })
  })

  test('the container knows the lock manager and its stores', async ({ assert }) => {
    await consumer.write(
      'app/container.ts',
      `
      import app from '@adonisjs/core/services/app'
      import type { Lock } from '@adonisjs/lock'
      const manager = await app.container.make('lock.manager')
      export const lock: Lock = manager.use('redis').createLock('key')
      // @ts-expect-error Not a store of this app.
      manager.use('dynamodb')
      `
    )
    const compiler = consumer.compiler([
      'types/app.d.ts',
      'adonisrc.ts',
      'config/lock.ts',
      'app/container.ts',
    ])

    assert.deepEqual(compiler.complaints(), [])
  })
})

test.group('Installed package | types', () => {
  /** Uses what a project without AdonisJS uses. */
  const PLAIN = `
    import { E_LOCK_NOT_OWNED, Lock, LockFactory, Verrou, defineConfig, errors, stores } from 'loquet'
    import { MemoryStore, memoryStore } from 'loquet/drivers/memory'
    import type { Duration, LockStore, SerializedLock } from 'loquet/types'

    const verrou = new Verrou({ default: 'memory', stores: { memory: { driver: memoryStore() } } })
    export const lock: Lock = verrou.use('memory').createLock('key', '10s' satisfies Duration)
    export const store: LockStore = new MemoryStore({ shared: 'name' })
    export const factory = new LockFactory(store)
    export const serialized: SerializedLock = lock.serialize()
    export const config = defineConfig({ default: 'memory', stores: { memory: stores.memory() } })
    export const known: boolean = new E_LOCK_NOT_OWNED() instanceof errors.E_LOCK_NOT_OWNED
  `

  test('plain Node.js needs no package of AdonisJS, by {name}')
    .with([
      { name: 'NodeNext', options: {} },
      {
        name: 'a bundler',
        options: {
          module: ts.ModuleKind.ESNext,
          moduleResolution: ts.ModuleResolutionKind.Bundler,
        },
      },
      { name: 'a library', options: { declaration: true } },
    ])
    .run(async ({ assert, test: current }, { options }) => {
      const consumer = await createConsumer({
        installedAs: ['loquet'],
        neighbours: ['@poppinss/exception', '@types/node'],
      })
      current.cleanup(() => consumer.remove())
      await consumer.write('index.ts', PLAIN)

      assert.deepEqual(consumer.compiler(['index.ts'], options).complaints(), [])
    })

  test('the test suite needs Japa only', async ({ assert, test: current }) => {
    const consumer = await createConsumer({
      installedAs: ['loquet'],
      neighbours: ['@japa/runner', '@types/node'],
    })
    current.cleanup(() => consumer.remove())
    await consumer.write(
      'index.ts',
      `
      import { test } from '@japa/runner'
      import { MemoryStore } from 'loquet/drivers/memory'
      import { registerStoreTestSuite } from 'loquet/test_suite'
      registerStoreTestSuite({ test, createStore: () => new MemoryStore() })
      `
    )

    assert.isEmpty(consumer.compiler(['index.ts']).complaints())
  })
})
