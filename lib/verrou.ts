import { resolveAutoExtend } from './auto_extend.js'
import { recognizeCopies } from './copies.js'
import { ENDLESS } from './duration.js'
import { engineOf } from './engine/resolve.js'
import { InvalidArgumentsException } from './errors.js'
import { LockFactory } from './lock_factory.js'
import type { Lock } from './lock.js'
import { loosen, native } from './native.js'
import { resolveRetry } from './retry.js'
import { resolveClose, within } from './shutdown.js'
import type { ResolvedClose } from './shutdown.js'
import { assertStore, invalid } from './validation.js'
import type {
  AutoExtendOptions,
  CloseOptions,
  CreateLockOptions,
  Duration,
  LockStore,
  Logger,
  RetryConfig,
  SerializedLock,
  StoreFactory,
  StoreStats,
} from './types/main.js'

/** Milliseconds that it may take to close connections in any case. */
const DISCONNECTING = 100

/**
 * Settings of a {@link Verrou}.
 */
export interface VerrouConfig<KnownStores extends Record<string, StoreFactory>> {
  /** The store of `createLock` and `restoreLock`. */
  default: keyof KnownStores
  /** The stores by name; made on first use. */
  stores: KnownStores
  /** Where to log; pino's and AdonisJS's loggers fit. Nothing is logged without it. */
  logger?: Logger
  /** Retry defaults for all locks. */
  retry?: RetryConfig
  /** Whether leases are extended while they are held, for all locks; see `LockAcquireOptions.autoExtend`. */
  autoExtend?: boolean | AutoExtendOptions
}

/**
 * Locks on several stores, each known by a name.
 */
export class Verrou<KnownStores extends Record<string, StoreFactory>> {
  readonly #config: VerrouConfig<KnownStores>
  readonly #factories = new Map<keyof KnownStores, LockFactory>()
  readonly #stores: LockStore[] = []
  /** Settles when everything is closed, once that has begun. */
  #closing: Promise<void> | undefined

  /**
   * @throws InvalidArgumentsException if `stores`, `default` or the store that it names is missing, or a retry setting
   * can't be used
   */
  constructor(config: VerrouConfig<KnownStores>) {
    assertConfig(config)
    resolveRetry(config.retry)
    resolveAutoExtend(config.autoExtend)
    this.#config = config
  }

  /**
   * The locks of one store; the default one unless named.
   *
   * @throws InvalidArgumentsException if there is no such store, or if what its factory makes isn't a store; whatever
   * the factory throws
   */
  use<Name extends keyof KnownStores>(store?: Name): LockFactory {
    const name = store ?? this.#config.default
    const known = this.#factories.get(name)
    if (known !== undefined) return known

    const made = this.#makeStore(name)
    const factory = new LockFactory(made, {
      name: String(name),
      retry: this.#config.retry,
      logger: this.#config.logger,
      autoExtend: this.#config.autoExtend,
    })
    if (this.#closing !== undefined) void factory.close()
    this.#factories.set(name, factory)
    this.#stores.push(made)
    return factory
  }

  /**
   * Makes a lock on the default store; see `LockFactory.createLock`.
   */
  createLock(name: string, ttl?: Duration, options?: CreateLockOptions): Lock {
    return this.use().createLock(name, ttl, options)
  }

  /**
   * Makes a lock of the default store again; see `LockFactory.restoreLock`.
   */
  restoreLock(lock: SerializedLock): Lock {
    return this.use().restoreLock(lock)
  }

  /**
   * What is known in this process of waits and leases, by the names of the stores that have been used; see
   * `LockFactory.stats`.
   */
  stats(): { [Name in keyof KnownStores]?: StoreStats } {
    const stats: { [Name in keyof KnownStores]?: StoreStats } = {}
    for (const [name, factory] of this.#factories) stats[name] = factory.stats()
    return stats
  }

  /**
   * Ends waiting acquires with E_LOCK_CLOSED and refuses new ones, at once; waits until the stores have settled what they had
   * asked for, then closes the connections of the stores. Locks that are held can still be released (a store on a server
   * connects again for it); with `release` that is done here, before the connections are closed. What is closed already
   * stays so.
   *
   * @returns Resolves when everything is closed
   * @throws InvalidArgumentsException if an option can't be used
   */
  close(options?: CloseOptions): Promise<void> {
    try {
      const resolved = resolveClose(options)
      if (resolved.release || this.#closing === undefined) {
        this.#closing = this.#close(resolved, this.#closing)
      }
      return this.#closing
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async #close({ release, timeout }: ResolvedClose, before: Promise<void> | undefined) {
    const startedAt = native.now()
    // All of them, before any of them is waited for.
    const closing = [...this.#factories.values()].map((factory) => {
      return factory.close({ release, timeout: timeout === ENDLESS ? null : timeout })
    })
    await Promise.all([...closing, before])
    // A connection that can't be closed properly, or in time, is gone all the same.
    const disconnecting = this.#stores.map(async (store) => engineOf(store).disconnect?.())
    const left = startedAt + timeout - native.now()
    await within(
      timeout === ENDLESS ? ENDLESS : Math.max(left, DISCONNECTING),
      Promise.allSettled(disconnecting)
    )
    loosen(new Set(this.#stores.map(engineOf)))
  }

  #makeStore(name: keyof KnownStores) {
    const { stores } = this.#config
    if (!Object.hasOwn(stores, name)) {
      const known = Object.keys(stores).join(', ')
      throw new InvalidArgumentsException(
        `Unknown lock store "${String(name)}". Known stores are: ${known}`
      )
    }
    const driver = (stores[name] as StoreFactory | undefined)?.driver
    if (typeof driver?.factory !== 'function') {
      throw invalid(
        `lock store "${String(name)}"`,
        '{ driver: { factory: () => store } }',
        stores[name]
      )
    }
    const store = driver.factory()
    assertStore(store, `lock store "${String(name)}"`)
    return store
  }
}

recognizeCopies(Verrou, 'Verrou')

function assertConfig(config: { default: PropertyKey; stores: object }): void {
  const { stores, default: name } = config ?? {}
  if (!stores) throw new InvalidArgumentsException('Missing "stores" property in lock config')
  if (!name) throw new InvalidArgumentsException('Missing "default" store in lock config')
  // What every object has (`toString`, say) is no store.
  const store = Object.hasOwn(stores, name) ? (stores as Record<PropertyKey, unknown>)[name] : null
  if (!store) {
    throw new InvalidArgumentsException(
      `Missing "stores.${String(name)}" in lock config. It is referenced by the "default" property`
    )
  }
}
