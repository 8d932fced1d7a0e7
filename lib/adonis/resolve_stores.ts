import { InvalidArgumentsException } from '../errors.js'
import type { Logger, StoreFactory } from '../types/main.js'
import type { ConfigProvider, ConfigProviderApp, KnownStoresConfig, LockConfig } from './types.js'

function isConfigProvider(store: object): store is ConfigProvider<unknown> {
  return 'resolver' in store && typeof store.resolver === 'function'
}

function isStoreFactory(store: unknown): store is StoreFactory {
  const { driver } = (store ?? {}) as Partial<StoreFactory>
  return typeof driver?.factory === 'function'
}

/**
 * Says what is wrong with a store of a config, or `null` if it is a store factory or a config provider.
 */
export function flawOfStore(store: unknown): string | null {
  if (typeof store !== 'object' || store === null) {
    return `expected a store factory or a config provider, got ${store === null ? 'null' : typeof store}`
  }

  if (isConfigProvider(store) || isStoreFactory(store)) {
    return null
  }

  return 'factory' in store
    ? 'a store factory has the form { driver: { factory } }, the "driver" around "factory" is missing'
    : 'it has neither a "driver" with a "factory" function nor a "resolver" function'
}

async function resolveStore(name: string, store: unknown, app: ConfigProviderApp) {
  const resolved =
    typeof store === 'object' && store !== null && isConfigProvider(store)
      ? await store.resolver(app)
      : store

  const flaw = flawOfStore(resolved)
  if (flaw || !isStoreFactory(resolved)) {
    throw new InvalidArgumentsException(
      `Invalid "stores.${name}" in lock config: ${flaw ?? 'a config provider resolved to another one'}`
    )
  }

  return resolved
}

/**
 * Resolves the stores of a config to store factories, all at once.
 *
 * A store that can't be resolved (an unknown connection, a package that isn't set up) must not keep an app from booting
 * that doesn't use it: tests run with the memory store while `redis` stays in the config. So it becomes a store factory that
 * throws the error whenever the store is wanted, and one line in the log. The default store is different: without it hardly
 * any lock can be made, and it is better to hear that when the app boots than with the first lock. Its error is thrown at
 * once.
 *
 * @throws whatever the provider of the default store rejects with, untouched
 */
export async function resolveStores(
  config: LockConfig<KnownStoresConfig>,
  app: ConfigProviderApp,
  logger: Logger
): Promise<Record<string, StoreFactory>> {
  const entries = Object.entries(config.stores).map(async ([name, store]) => {
    try {
      return [name, await resolveStore(name, store, app)] as const
    } catch (error) {
      if (name === config.default) {
        throw error
      }

      const reason = error instanceof Error ? error.message : String(error)
      const isExpected = (error as { code?: unknown } | null)?.code === 'E_LOCK_STORE_UNAVAILABLE'
      logger[isExpected ? 'debug' : 'warn'](
        { store: name, reason },
        `the lock store "${name}" can't be used: ${reason}`
      )

      const factory = (): never => {
        throw error
      }
      return [name, { driver: { factory } }] as const
    }
  })

  return Object.fromEntries(await Promise.all(entries))
}
