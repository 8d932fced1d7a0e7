import type { ApplicationService } from '@adonisjs/core/types'
import type { StoreFactory } from '../types/main.js'
import type { Verrou } from '../verrou.js'
import type { KnownStoresConfig, LockConfig, LockService } from './types.js'

declare module '@adonisjs/core/types' {
  interface ContainerBindings {
    'lock.manager': LockService
  }
}

/**
 * Binds the lock manager to the container as the singleton `lock.manager`, made of `config/lock.ts` on first use, and
 * closes it when the app terminates.
 *
 * Closing ends all waiting acquires: they reject with `E_LOCK_CLOSED` (status 503). It happens once the HTTP server has
 * answered all requests in flight: until then they may wait for locks and get them. A request that waits longer than
 * `drainTime` would keep the process from ending, so its wait is ended then.
 */
export default class LockProvider {
  /**
   * Milliseconds that requests in flight may go on waiting for locks while the app terminates.
   */
  protected drainTime = 5_000

  /**
   * The manager that the container got from here. Known here and not asked of the container, because asking would make
   * one in an app that shuts down without having used a lock, and could return a double that a test has swapped in.
   */
  #manager?: Promise<Verrou<Record<string, StoreFactory>>>

  #drainTimer?: NodeJS.Timeout

  /** An app that was never started serves nobody. */
  #isReady = false

  constructor(protected app: ApplicationService) {}

  register(): void {
    this.app.container.singleton('lock.manager', () => {
      this.#manager = this.#createManager()
      return this.#manager as Promise<LockService>
    })
    this.app.terminating(() => this.#terminate())
  }

  ready(): void {
    this.#isReady = true
    // The HTTP server has added its own hook in between, which waits for the requests. AdonisJS 6 calls hooks in the order
    // in which they were added, AdonisJS 7 in reverse order: either way one of ours comes before that of the server and
    // one after it.
    this.app.terminating(() => this.#terminate())
  }

  async shutdown(): Promise<void> {
    clearTimeout(this.#drainTimer)
    await this.#close()
  }

  /** The second time, nobody is served any longer. Other providers may close what a store needs before our own shutdown. */
  async #terminate() {
    if (!this.#isReady || this.#drainTimer !== undefined) return this.shutdown()
    this.#drainTimer = setTimeout(() => void this.#close(), this.drainTime).unref()
  }

  async #close() {
    // One that couldn't be made has been reported to whoever wanted it and has nothing to close.
    const manager = await this.#manager?.catch(() => undefined)
    await manager?.close()
  }

  async #createManager() {
    // Loaded here so that an ace command that makes no lock doesn't load the native addon.
    const { Verrou } = await import('../verrou.js')
    const { defineConfig } = await import('./define_config.js')
    const { resolveStores } = await import('./resolve_stores.js')

    // Checked here too: the file may be missing, or export an object that didn't pass through `defineConfig`.
    const config = defineConfig(this.app.config.get<LockConfig<KnownStoresConfig>>('lock', {}))
    const logger = await this.app.container.make('logger')

    return new Verrou({
      default: config.default,
      stores: await resolveStores(config, this.app, logger.child({ pkg: 'loquet' })),
      retry: config.retry,
      logger,
    })
  }
}
