import { Holdings } from './engine/holdings.js'
import type { Lease, LockEngine } from './engine/lease.js'
import { engineOf } from './engine/resolve.js'
import type { LockStore, ResolvedAutoExtend, ResolvedLockConfig } from './types/main.js'

/**
 * What the locks of one factory have in common: their settings, whether they can still be acquired, what they hold.
 */
export class Scope implements ResolvedLockConfig {
  readonly retry: ResolvedLockConfig['retry']
  readonly logger: ResolvedLockConfig['logger']
  readonly autoExtend: ResolvedAutoExtend | null
  readonly fencing: boolean
  /** What the store is called; unknown for locks that no factory has made. */
  readonly storeName: string | undefined
  /** From then on no lock with these settings is acquired. */
  isClosed = false
  /** What becomes of a lease that is granted nevertheless, once everything else was released; see `releaseAll`. */
  onLateGrant: ((lease: Lease) => void) | undefined
  readonly holdings: Holdings
  /** The store of the lock that was made last, as a rule the only one, and its engine: a look into a `WeakMap` less a lock. */
  #store: LockStore | undefined
  #engine: LockEngine | undefined

  constructor(config: ResolvedLockConfig, storeName?: string, holdings = new Holdings()) {
    this.retry = config.retry
    this.logger = config.logger
    this.autoExtend = config.autoExtend ?? null
    this.fencing = config.fencing === true
    this.storeName = storeName
    this.holdings = holdings
  }

  /** The engine of a store. */
  engineOf(store: LockStore): LockEngine {
    if (store === this.#store) return this.#engine!
    const engine = engineOf(store)
    this.#store = store
    this.#engine = engine
    return engine
  }
}

/** The scopes of settings that were given to a lock by hand. */
const scopes = new WeakMap<ResolvedLockConfig, Scope>()

/**
 * The scope of a lock that is made under the given settings.
 */
export function scopeOf(config: ResolvedLockConfig): Scope {
  if (config instanceof Scope) return config
  let scope = scopes.get(config)
  if (scope === undefined) {
    scope = new Scope(config)
    scopes.set(config, scope)
  }
  return scope
}
