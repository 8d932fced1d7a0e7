import { InvalidArgumentsException } from '../errors.js'
import { invalid } from '../validation.js'
import { flawOfStore } from './resolve_stores.js'
import type { KnownStoresConfig, LockConfig } from './types.js'

/**
 * Declares the config of the locks (`config/lock.ts`) and checks it: the stores, which of them is the default, and
 * optionally retry defaults for all of them. Returns the config as it is.
 *
 * A store is a store factory (`{ driver: { factory } }`), or a config provider of one, such as those made by
 * {@link stores} and by AdonisJS's `configProvider.create`. Nothing is resolved or connected here.
 *
 * @param config - The config; see {@link LockConfig}
 * @throws InvalidArgumentsException (`E_INVALID_ARGUMENTS_EXCEPTION`) if `stores` or `default` is missing, if the
 * default store isn't among the stores, if a store is neither a factory nor a provider, or `events` no boolean
 */
export function defineConfig<KnownStores extends KnownStoresConfig>(
  config: LockConfig<KnownStores>
): LockConfig<KnownStores> {
  const { stores, default: defaultStore } = config

  if (!stores) {
    throw new InvalidArgumentsException('Missing "stores" property in lock config')
  }

  if (!defaultStore) {
    throw new InvalidArgumentsException('Missing "default" store in lock config')
  }

  // Own stores only: `default: 'constructor'` names something that every object has.
  if (!Object.hasOwn(stores, defaultStore) || !stores[defaultStore]) {
    throw new InvalidArgumentsException(
      `Missing "stores.${String(defaultStore)}" in lock config. It is referenced by the "default" property`
    )
  }

  for (const [name, store] of Object.entries(stores)) {
    const flaw = flawOfStore(store)
    if (flaw) {
      throw new InvalidArgumentsException(`Invalid "stores.${name}" in lock config: ${flaw}`)
    }
  }

  if (config.events !== undefined && typeof config.events !== 'boolean') {
    throw invalid('"events" in lock config', 'true or false', config.events)
  }

  return config
}
