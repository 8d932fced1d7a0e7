/**
 * Code of people who use `@verrou/core` and `@adonisjs/lock` (installed as `adonis-lock`). `npm run typecheck` compiles
 * it against the peers, which shows that it is theirs; `peers.spec.ts` compiles it against this package, installed under
 * their names.
 */
import { test } from '@japa/runner'
import type { ApplicationService } from '@adonisjs/core/types'
import { configProvider } from '@adonisjs/core'
import { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR, Lock, LockFactory, Verrou } from '@verrou/core'
import { MemoryStore, memoryStore } from '@verrou/core/drivers/memory'
import { RedisStore, redisStore } from '@verrou/core/drivers/redis'
import { registerStoreTestSuite } from '@verrou/core/test_suite'
import { Redis } from 'ioredis'
import type {
  Duration,
  LockAcquireOptions,
  LockFactoryOptions,
  LockStore,
  RedisStoreOptions,
  ResolvedLockConfig,
  RetryConfig,
  SerializedLock,
  StoreFactory,
} from '@verrou/core/types'
import { configure, defineConfig, errors, stores } from 'adonis-lock'
import locks from 'adonis-lock/services/main'
import type { InferLockStores, LockService } from 'adonis-lock/types'

/** A manager of one's own. */
const verrou = new Verrou({
  default: 'memory',
  stores: { memory: { driver: memoryStore() }, other: { driver: memoryStore() } },
})

export async function everyMethod(): Promise<SerializedLock> {
  const lock: Lock = verrou.createLock('key', '10s')
  const acquired: boolean = await lock.acquire({
    retry: { attempts: 3, delay: 100, timeout: '1s' },
  })
  if (!acquired) return lock.serialize()

  const owner: string = lock.getOwner()
  const left: number | null = lock.getRemainingTime()
  if (lock.isExpired() || (left ?? 0) < 100) await lock.extend('1m')
  if (await lock.isLocked()) await lock.release()
  await lock.forceRelease()
  await verrou.use('other').createLock(owner, null).acquireImmediately()
  return lock.serialize()
}

export async function results(): Promise<number> {
  const [executed, result] = await verrou.createLock('key').run(async () => 42)
  if (executed) return result
  const immediately = await verrou.createLock('key', 1_000).runImmediately(async () => 'done')
  const tuple: [true, string] | [false, null] = immediately
  return tuple[0] ? tuple[1].length : 0
}

export async function handOver(payload: string) {
  const serialized = JSON.parse(payload) as SerializedLock
  await verrou.restoreLock(serialized).release()
  await verrou.use('memory').restoreLock(serialized).release()
}

/** Locks handed around by their types. */
export class Orders {
  constructor(
    private factory: LockFactory,
    private options: LockAcquireOptions = {}
  ) {}

  async process(id: number, ttl: Duration = '30s') {
    const lock = this.factory.createLock(`order.${id}`, ttl)
    if (await lock.acquire(this.options)) await this.finish(lock)
  }

  private async finish(lock: Lock) {
    await lock.release()
  }
}

/** A store that counts what another one does. */
export class CountingStore implements LockStore {
  calls = 0
  constructor(private store: LockStore) {}

  async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    this.calls++
    return this.store.save(key, owner, ttl)
  }
  async delete(key: string, owner: string): Promise<void> {
    await this.store.delete(key, owner)
  }
  async forceDelete(key: string) {
    await this.store.forceDelete(key)
  }
  async exists(key: string): Promise<boolean> {
    return await this.store.exists(key)
  }
  async extend(key: string, owner: string, duration: number): Promise<void> {
    return this.store.extend(key, owner, duration)
  }
}

const counting = (): StoreFactory => ({
  driver: { factory: () => new CountingStore(new MemoryStore()) },
})
const retry: RetryConfig = { attempts: Number.POSITIVE_INFINITY, delay: '250ms' }

export function assembled(logger: ResolvedLockConfig['logger']) {
  const options: LockFactoryOptions = { retry, logger }
  const config: ResolvedLockConfig = { retry: { attempts: 1, delay: 10 }, logger }
  return [
    new Orders(new LockFactory(memoryStore().factory(), options), { retry }),
    new Lock('key', new MemoryStore(), config, 'owner', 1_000, Date.now() + 1_000),
    new Verrou({ default: 'counting', stores: { counting: counting() }, logger }),
  ]
}

/** A store that is told of its failures by the package's errors. */
export function failing(key: string, cause: unknown): never {
  if (key === '') throw new E_LOCK_NOT_OWNED()
  if (key === 'args') throw new E_LOCK_NOT_OWNED([key], { cause })
  throw new E_LOCK_STORAGE_ERROR([{ message: 'The server is gone' }], { cause })
}

export function explain(error: unknown): string {
  if (error instanceof errors.E_LOCK_NOT_OWNED) return `${error.code} ${error.status}`
  if (error instanceof E_LOCK_STORAGE_ERROR) return error.message
  return String(error)
}

/** Redis, over a connection of one's own. */
export function redisStores(options: RedisStoreOptions): LockStore[] {
  const { factory } = redisStore({ connection: new Redis({ lazyConnect: true }) })
  const made: RedisStore = factory()
  const again = new RedisStore(options)
  return [made, again]
}

/** The suite for a store of one's own. */
export function conformance() {
  registerStoreTestSuite({
    test,
    createStore: () => new CountingStore(new MemoryStore()),
    configureGroup: (group) => group.tap((item) => item.timeout(5_000)),
  })
}

/** An AdonisJS app. */
const lockConfig = defineConfig({
  default: 'memory',
  stores: {
    memory: stores.memory(),
    redis: stores.redis({ connectionName: 'main' as never }),
    database: stores.database({ connectionName: 'postgres', tableName: 'locks' }),
    custom: configProvider.create(async () => counting()),
  },
})
export default lockConfig

declare module 'adonis-lock/types' {
  export interface LockStoresList extends InferLockStores<typeof lockConfig> {}
}

export async function inService(): Promise<string | null> {
  const manager: LockService = locks
  const [, result] = await manager
    .use('redis')
    .createLock('key')
    .run(async () => 'done')
  await locks.use('custom').createLock('key').acquire()
  // @ts-expect-error Not one of the stores.
  locks.use('dynamodb')
  return result
}

export async function resolved(app: ApplicationService): Promise<LockStore | undefined> {
  const memory = await configProvider.resolve<StoreFactory>(app, lockConfig.stores.memory)
  return memory?.driver.factory()
}

export const hook: Parameters<typeof configure>[0] extends never ? never : typeof configure =
  configure
