/**
 * `Lock`, `LockFactory` and `Verrou`: what they take, what they give, and what they refuse.
 */
import { HeldLock, type Lock, LockFactory, Verrou } from 'loquet'
import { memoryStore } from 'loquet/drivers/memory'
import type { RunResult, VerrouConfig } from 'loquet'
import type {
  AutoExtendOptions,
  CloseOptions,
  CreateLockOptions,
  Duration,
  LockAcquireOptions,
  LockFactoryOptions,
  LockStore,
  Logger,
  ResolvedAutoExtend,
  ResolvedLockConfig,
  RetryConfig,
  SerializedLock,
  StoreFactory,
} from 'loquet/types'
import { check, some } from './equal.js'
import type { Equal } from './equal.js'

const lock = some<Lock>()
const store = some<LockStore>()
const factory: StoreFactory = { driver: { factory: () => store } }

/** The result of `run` narrows by its first element, destructured or not. */
export async function narrowing() {
  const [executed, result] = await lock.run(async () => 42)
  check<Equal<typeof executed, boolean>>()
  check<Equal<typeof result, number | null>>()
  if (executed) check<Equal<typeof result, number>>()
  else check<Equal<typeof result, null>>()

  const outcome = await lock.runImmediately(() => 'sync')
  check<Equal<typeof outcome, RunResult<string>>>()
  if (outcome[0]) check<Equal<(typeof outcome)[1], string>>()
  else check<Equal<(typeof outcome)[1], null>>()
  if (!outcome[0]) return null
  return outcome[1].toUpperCase()
}
check<Equal<ReturnType<typeof narrowing>, Promise<string | null>>>()
check<
  Equal<RunResult<number>, [executed: true, result: number] | [executed: false, result: null]>
>()

/** A result may be anything, `null` and nothing included; a promise of it is awaited. */
export async function results() {
  check<Equal<Awaited<ReturnType<typeof nothing>>, [true, void] | [false, null]>>()
  check<Equal<Awaited<ReturnType<typeof nullish>>, [true, string | null] | [false, null]>>()
  check<Equal<Awaited<ReturnType<typeof never>>, [true, never] | [false, null]>>()
}
const nothing = () => lock.run(async () => {})
const nullish = () => lock.run(async () => some<string | null>())
const never = () =>
  lock.run(async () => {
    throw new Error('failed')
  })

/** The callback gets the lock; it needn't take it. */
export const given = lock.run((held) => {
  check<Equal<typeof held, Lock>>()
  return held.extend('1s')
})
export const givenImmediately = lock.runImmediately(async (held) => held.getRemainingTime())
check<Equal<typeof givenImmediately, Promise<RunResult<number | null>>>>()
// @ts-expect-error Only the lock is passed.
lock.run((_held, _more) => 1)
// @ts-expect-error A callback is needed.
lock.run()
// @ts-expect-error The options come second.
lock.run({ retry: { attempts: 1 } }, async () => 1)
// @ts-expect-error It is tried once: there is nothing to set.
lock.runImmediately(async () => 1, { retry: { attempts: 1 } })

/** What the methods return. */
check<Equal<ReturnType<Lock['acquire']>, Promise<boolean>>>()
check<Equal<ReturnType<Lock['acquireImmediately']>, Promise<boolean>>>()
check<Equal<ReturnType<Lock['release']>, Promise<void>>>()
check<Equal<ReturnType<Lock['forceRelease']>, Promise<void>>>()
check<Equal<ReturnType<Lock['extend']>, Promise<void>>>()
check<Equal<ReturnType<Lock['isLocked']>, Promise<boolean>>>()
check<Equal<ReturnType<Lock['isExpired']>, boolean>>()
check<Equal<ReturnType<Lock['getRemainingTime']>, number | null>>()
check<Equal<ReturnType<Lock['getOwner']>, string>>()
check<Equal<ReturnType<Lock['serialize']>, SerializedLock>>()
check<Equal<ReturnType<Lock['toJSON']>, SerializedLock>>()

/** What `acquire` and `run` may be told. */
check<
  Equal<
    LockAcquireOptions,
    { retry?: RetryConfig; signal?: AbortSignal; autoExtend?: boolean | AutoExtendOptions }
  >
>()
check<Equal<AutoExtendOptions, { max?: Duration; stall?: Duration }>>()
check<Equal<RetryConfig, { attempts?: number; delay?: Duration; timeout?: Duration }>>()
check<Equal<Parameters<Lock['acquire']>, [options?: LockAcquireOptions]>>()
check<Equal<Parameters<Lock['acquireImmediately']>, []>>()
lock.acquire()
lock.acquire({})
lock.acquire({ retry: { attempts: Number.POSITIVE_INFINITY, delay: '1s', timeout: null } })
lock.acquire({ signal: AbortSignal.timeout(1_000) })
lock.run(async () => 1, { retry: { timeout: 300 }, signal: new AbortController().signal })
lock.acquire({ autoExtend: true })
lock.run(async () => 1, { autoExtend: { max: '10m', stall: null } })
// @ts-expect-error Misspelled.
lock.acquire({ autoExtend: { maximum: '10m' } })
// @ts-expect-error Misspelled.
lock.acquire({ retry: { attempt: 1 } })
// @ts-expect-error The retry settings have a name.
lock.acquire({ attempts: 1 })
// @ts-expect-error A controller isn't a signal.
lock.acquire({ signal: new AbortController() })
// @ts-expect-error Not a duration.
lock.acquire({ retry: { timeout: new Date() } })

/** What tells whether a lease is held. */
check<Equal<Lock['signal'], AbortSignal>>()
check<Equal<ReturnType<Lock['isHeld']>, boolean>>()
check<Equal<Lock['fencingToken'], bigint | null>>()
// @ts-expect-error It belongs to the lock.
lock.signal = new AbortController().signal

/** What `hold` resolves to. */
check<Equal<Lock['hold'], (options?: LockAcquireOptions) => Promise<HeldLock>>>()
check<
  Equal<
    keyof HeldLock,
    'signal' | 'fencingToken' | 'isHeld' | 'extend' | 'release' | typeof Symbol.asyncDispose
  >
>()
check<Equal<HeldLock['signal'], AbortSignal>>()
check<Equal<HeldLock['fencingToken'], bigint | null>>()
check<Equal<ReturnType<HeldLock['isHeld']>, boolean>>()
check<Equal<HeldLock['extend'], (ttl?: Duration) => Promise<void>>>()
check<Equal<HeldLock['release'], () => Promise<void>>>()
export async function disposed(): Promise<boolean> {
  await using held = await lock.hold({ retry: { attempts: 1 } })
  return held.isHeld()
}
// @ts-expect-error Only `hold` makes one.
export const wrongHeld = new HeldLock(lock)

/** Durations: milliseconds, a string, `null`. */
check<Equal<Duration, number | string | null>>()
lock.extend()
lock.extend(1_000)
lock.extend('1m')
// @ts-expect-error Not a duration.
lock.extend(10n)
// @ts-expect-error Not a duration.
lock.extend(true)

/** A serialized lock is plain JSON, and all of it is needed. */
check<
  Equal<
    SerializedLock,
    { key: string; owner: string; ttl: number | null; expirationTime: number | null }
  >
>()
check<Equal<Parameters<LockFactory['restoreLock']>, [lock: SerializedLock]>>()
// @ts-expect-error The owner is missing.
some<LockFactory>().restoreLock({ key: 'key', ttl: 1, expirationTime: 1 })
// @ts-expect-error A lock has to be serialized first.
some<LockFactory>().restoreLock(lock)

/** `new Lock` takes what the peer's does, the last three being optional. */
check<
  Equal<
    ConstructorParameters<typeof Lock>,
    [
      key: string,
      lockStore: LockStore,
      config: ResolvedLockConfig,
      owner?: string,
      ttl?: number | null,
      expirationTime?: number | null,
    ]
  >
>()
check<
  Equal<
    ResolvedLockConfig,
    {
      retry: { attempts: number; delay: number; timeout?: number }
      logger: Logger
      autoExtend?: ResolvedAutoExtend | null
      fencing?: boolean
    }
  >
>()

/** Closing. */
check<Equal<CloseOptions, { release?: boolean; timeout?: Duration }>>()
check<Equal<Parameters<LockFactory['close']>, [options?: CloseOptions]>>()
check<Equal<ReturnType<LockFactory['close']>, Promise<void>>>()
check<Equal<Parameters<Verrou<{ memory: StoreFactory }>['close']>, [options?: CloseOptions]>>()

/** `LockFactory`. */
check<
  Equal<
    LockFactoryOptions,
    {
      name?: string
      retry?: RetryConfig
      logger?: Logger
      autoExtend?: boolean | AutoExtendOptions
      fencing?: boolean
    }
  >
>()
check<
  Equal<
    Parameters<LockFactory['createLock']>,
    [name: string, ttl?: Duration, options?: CreateLockOptions]
  >
>()
check<Equal<CreateLockOptions, { fencing?: boolean }>>()
check<Equal<ReturnType<LockFactory['createLock']>, Lock>>()
check<Equal<ReturnType<LockFactory['restoreLock']>, Lock>>()
export const factories = [
  new LockFactory(store),
  new LockFactory(store, { retry: { attempts: 3 } }),
  new LockFactory(memoryStore().factory()),
]
// @ts-expect-error A factory of stores isn't a store.
export const wrongFactory = new LockFactory(memoryStore())

/** `Verrou`: `use` takes the names of the config and no other. */
export const verrou = new Verrou({
  default: 'memory',
  stores: { memory: { driver: memoryStore() }, custom: factory },
  retry: { delay: '100ms' },
})
check<Equal<Parameters<typeof verrou.use>, [store?: 'memory' | 'custom']>>()
check<Equal<ReturnType<typeof verrou.use>, LockFactory>>()
check<
  Equal<
    Parameters<typeof verrou.createLock>,
    [name: string, ttl?: Duration, options?: CreateLockOptions]
  >
>()
check<Equal<ReturnType<typeof verrou.createLock>, Lock>>()
check<Equal<Parameters<typeof verrou.restoreLock>, [lock: SerializedLock]>>()
check<Equal<ReturnType<typeof verrou.restoreLock>, Lock>>()
check<Equal<ReturnType<typeof verrou.close>, Promise<void>>>()
verrou.use()
verrou.use('custom').createLock('key', '10s')
verrou.use(some<'memory' | 'custom'>())
verrou.createLock('key', null)
// @ts-expect-error Not one of the stores.
verrou.use('redis')
// @ts-expect-error Any string could be another one.
verrou.use(some<string>())
// @ts-expect-error A key is a string.
verrou.createLock(1)
// @ts-expect-error A lock needs a key.
verrou.createLock()
// @ts-expect-error Not a duration.
verrou.createLock('key', { seconds: 1 })

/** A manager whose stores are known by any name only, as a library may ask for. */
export function anyManager(manager: Verrou<Record<string, StoreFactory>>) {
  return manager.use('whatever')
}

check<
  Equal<
    VerrouConfig<{ memory: StoreFactory }>,
    {
      default: 'memory'
      stores: { memory: StoreFactory }
      logger?: Logger
      retry?: RetryConfig
      autoExtend?: boolean | AutoExtendOptions
    }
  >
>()
// @ts-expect-error The default must be one of the stores.
export const wrongDefault = new Verrou({ default: 'redis', stores: { memory: factory } })
// @ts-expect-error A store is wrapped: `{ driver: memoryStore() }`.
export const wrongStore = new Verrou({ default: 'memory', stores: { memory: memoryStore() } })
// @ts-expect-error Stores are needed.
export const noStores = new Verrou({ default: 'memory' })
