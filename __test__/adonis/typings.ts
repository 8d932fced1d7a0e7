/**
 * Holds the structural types of this package against the types of the AdonisJS that is installed. Never run: the type
 * checker reads it, with AdonisJS 6 in this repository and with AdonisJS 7 in the sandbox of `adonis7.mjs`.
 */

import { configProvider } from '@adonisjs/core'
import type Configure from '@adonisjs/core/commands/configure'
import type { ApplicationService, ConfigProvider } from '@adonisjs/core/types'
import { configure, defineConfig, stores } from 'loquet'
import LockProvider from 'loquet/lock_provider'
import type { InferLockStores, LockStore, StoreFactory } from 'loquet/types'

declare const app: ApplicationService
declare const store: LockStore

const factory: StoreFactory = { driver: { factory: () => store } }

/** The command of AdonisJS is what `configure` takes. */
export const hook: (command: Configure) => Promise<void> = configure

/** Our providers are providers of AdonisJS. */
export const theirs: ConfigProvider<StoreFactory> = stores.memory()
export const resolved: Promise<StoreFactory | null> = configProvider.resolve(app, stores.memory())

/** Providers of AdonisJS, whose resolvers may use all of the app, are taken beside ours and plain factories. */
const config = defineConfig({
  default: 'plain',
  stores: {
    plain: factory,
    memory: stores.memory({ shared: 'name' }),
    adonis: configProvider.create<StoreFactory>(async (service) => {
      await service.container.make('logger')
      return factory
    }),
  },
  retry: { attempts: 3, delay: '1s', timeout: null },
})

export const inferred: Record<'plain' | 'memory' | 'adonis', StoreFactory> = {
  plain: factory,
  memory: factory,
  adonis: factory,
} satisfies InferLockStores<typeof config>

// @ts-expect-error The default must be one of the stores.
defineConfig({ default: 'other', stores: { plain: factory } })

// @ts-expect-error A store is a factory or a provider.
defineConfig({ default: 'plain', stores: { plain: 42 } })

/** The provider fits the list of `adonisrc.ts`, and the container knows the type of the binding. */
export const provider: { register?(): void; shutdown?(): void | Promise<void> } = new LockProvider(
  app
)
export const acquired: Promise<boolean> = app.container
  .make('lock.manager')
  .then((locks) => locks.createLock('key').acquire())
