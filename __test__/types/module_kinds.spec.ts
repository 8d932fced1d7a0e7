/**
 * The declarations are found, and compile, whatever kind of modules a project has and however its compiler looks for them.
 */
import { test } from '@japa/runner'
import ts from 'typescript'
import { createConsumer } from './consumer.js'
import type { Consumer } from './consumer.js'

const { ModuleKind, ModuleResolutionKind } = ts

/** What `tsconfig.json` may say, and whether the project's files are CommonJS then. */
const KINDS: Record<string, ts.CompilerOptions & { type: 'commonjs' | 'module' }> = {
  'CommonJS, node10': {
    type: 'commonjs',
    module: ModuleKind.CommonJS,
    moduleResolution: ModuleResolutionKind.Node10,
    // AdonisJS's and Japa's own declarations can't be found in this way.
    skipLibCheck: true,
  },
  'CommonJS, node16': {
    type: 'commonjs',
    module: ModuleKind.Node16,
    moduleResolution: ModuleResolutionKind.Node16,
  },
  'CommonJS, node18': {
    type: 'commonjs',
    module: ModuleKind.Node18,
    moduleResolution: ModuleResolutionKind.Node16,
  },
  'CommonJS, nodenext': {
    type: 'commonjs',
    module: ModuleKind.NodeNext,
    moduleResolution: ModuleResolutionKind.NodeNext,
  },
  'ES modules, node16': {
    type: 'module',
    module: ModuleKind.Node16,
    moduleResolution: ModuleResolutionKind.Node16,
  },
  'ES modules, nodenext': {
    type: 'module',
    module: ModuleKind.NodeNext,
    moduleResolution: ModuleResolutionKind.NodeNext,
  },
  'a bundler': {
    type: 'module',
    module: ModuleKind.ESNext,
    moduleResolution: ModuleResolutionKind.Bundler,
  },
  'a bundler that preserves modules': {
    type: 'commonjs',
    module: ModuleKind.Preserve,
    moduleResolution: ModuleResolutionKind.Bundler,
  },
}

/** What the declarations name, as npm would install it. */
const NEIGHBOURS = [
  '@adonisjs/core',
  '@aws-sdk/client-dynamodb',
  '@japa/runner',
  '@lukeed/ms',
  '@poppinss/exception',
  '@types/node',
  'ioredis',
  'knex',
  'kysely',
]

const ENTRIES = ['memory', 'redis', 'database', 'knex', 'kysely', 'dynamodb']

/** Uses what each entry has, in ways that a declaration that isn't found, or is a twin of another, doesn't allow. */
const program = (name: string) => `
import { E_LOCK_NOT_OWNED, Lock, LockFactory, Verrou, defineConfig, errors, stores } from '${name}'
import LockProvider from '${name}/lock_provider'
import { registerStoreTestSuite } from '${name}/test_suite'
import { MemoryStore, memoryStore } from '${name}/drivers/memory'
import { redisStore } from '${name}/drivers/redis'
import { DatabaseStore } from '${name}/drivers/database'
import { KnexAdapter } from '${name}/drivers/knex'
import { KyselyAdapter } from '${name}/drivers/kysely'
import { dynamodbStore } from '${name}/drivers/dynamodb'
import type { InferLockStores, LockService, LockStore, SerializedLock } from '${name}/types'

const config = defineConfig({ default: 'memory', stores: { memory: stores.memory(), custom: { driver: memoryStore() } } })
declare module '${name}/types' {
  interface LockStoresList extends InferLockStores<typeof config> {}
}
export function useService(service: LockService) {
  service.use('memory')
  service.use('custom')
  // @ts-expect-error -- not configured
  service.use('other')
}
class Mine extends MemoryStore {
  override async exists(key: string): Promise<boolean> {
    return super.exists(key)
  }
}
const store: LockStore = new Mine({ shared: 'name' })
// @ts-expect-error -- a number is no name: the options are known
new MemoryStore({ shared: 1 })
const verrou = new Verrou({ default: 'memory', stores: { memory: { driver: memoryStore() } } })
const factory: LockFactory = verrou.use('memory')
// @ts-expect-error -- not configured
verrou.use('other')
export async function work(): Promise<SerializedLock> {
  const lock: Lock = new LockFactory(store).createLock('key', '10s')
  const [executed, result] = await lock.run((held) => held.getOwner())
  if (executed) result.toUpperCase()
  try {
    await factory.createLock('key').release()
  } catch (error) {
    if (error instanceof E_LOCK_NOT_OWNED || error instanceof errors.E_LOCK_CLOSED) error.message.trim()
  }
  return lock.serialize()
}
export const rest = [
  LockProvider,
  registerStoreTestSuite,
  redisStore,
  DatabaseStore,
  KnexAdapter,
  KyselyAdapter,
  dynamodbStore,
]
`

/** Two names, one package: nobody has to know which of them something came from. */
const BOTH = `
import { E_LOCK_NOT_OWNED, Lock, LockFactory, Verrou } from 'loquet'
import { memoryStore } from 'loquet/drivers/memory'
import * as other from '@verrou/core'
import { memoryStore as otherMemoryStore } from '@verrou/core/drivers/memory'

const use = (lock: Lock) => lock.isLocked()
const useOther = (lock: other.Lock) => lock.isLocked()
const stores = { memory: { driver: memoryStore() }, other: { driver: otherMemoryStore() } }
const verrou: other.Verrou<typeof stores> = new Verrou({ default: 'memory', stores })
const factory: LockFactory = new other.LockFactory(memoryStore().factory())
export const answers = [use(verrou.createLock('key')), useOther(factory.createLock('key'))]
export const error: other.E_LOCK_NOT_OWNED = new E_LOCK_NOT_OWNED()
`

for (const [title, { type, ...options }] of Object.entries(KINDS)) {
  test.group(`Module kinds | ${title}`, (group) => {
    let consumer: Consumer
    group.setup(async () => {
      consumer = await createConsumer({
        installedAs: ['loquet', '@verrou/core'],
        neighbours: NEIGHBOURS,
        manifest: { type },
      })
      return () => consumer.remove()
    })

    test('a project that uses every entry compiles', async ({ assert }) => {
      await consumer.write('program.ts', program('loquet'))
      const compiler = consumer.compiler(['program.ts'], { ...options, esModuleInterop: true })

      assert.deepEqual(compiler.complaints(), [])
      assert.includeMembers(compiler.declarations(), [
        'node_modules/loquet/index.d.ts',
        ...ENTRIES.map((entry) => `node_modules/loquet/build/drivers/${entry}.d.ts`),
      ])
    })

    test('what one name gives is what the other one takes', async ({ assert }) => {
      await consumer.write('both.ts', BOTH)
      const compiler = consumer.compiler(['both.ts'], { ...options, esModuleInterop: true })

      assert.deepEqual(compiler.complaints(), [])
    })
  })
}
