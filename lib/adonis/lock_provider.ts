import type { ApplicationService } from '@adonisjs/core/types'
import type {
  AcquireMessage,
  ExtendMessage,
  HoldMessage,
  LostMessage,
} from '../types/diagnostics.js'
import type { CloseOptions, StoreFactory } from '../types/main.js'
import type { Verrou } from '../verrou.js'
import type { KnownStoresConfig, LockConfig, LockService } from './types.js'

declare module '@adonisjs/core/types' {
  interface ContainerBindings {
    'lock.manager': LockService
  }

  /** Emitted if `events` is set in `config/lock.ts`. */
  interface EventsList {
    'lock:acquired': AcquireMessage
    'lock:refused': AcquireMessage
    'lock:extended': ExtendMessage
    'lock:released': HoldMessage
    'lock:lost': LostMessage
  }
}

/**
 * Binds the lock manager to the container as the singleton `lock.manager`, made of `config/lock.ts` on first use, and
 * closes it when the app terminates.
 *
 * Closing ends all waiting acquires: they reject with `E_LOCK_CLOSED` (status 503). It happens once the HTTP server has
 * answered all requests in flight: until then they may wait for locks and get them. A request that waits longer than
 * `drainTime` would keep the process from ending, so its wait is ended then. What is still held when the app's own hooks
 * have run is released.
 */
export default class LockProvider {
  /**
   * Milliseconds that requests in flight may go on waiting for locks while the app terminates.
   */
  protected drainTime = 5_000

  /**
   * Milliseconds that it may take to release what is still held at the end.
   */
  protected releaseTime = 5_000

  /**
   * The manager that the container got from here. Known here and not asked of the container, because asking would make
   * one in an app that shuts down without having used a lock, and could return a double that a test has swapped in.
   */
  #manager?: Promise<Verrou<Record<string, StoreFactory>>>

  /** Ends the events of the locks. */
  #stopEvents?: () => void

  #drainTimer?: NodeJS.Timeout

  /** An app that was never started serves nobody. */
  #isReady = false

  constructor(protected app: ApplicationService) {}

  register(): void {
    this.app.container.singleton('lock.manager', () => {
      this.#manager = this.#createManager()
      return this.#manager as Promise<LockService>
    })
    this.app.terminating(() => this.#terminate(true))
  }

  ready(): void {
    this.#isReady = true
    // The HTTP server has added its own hook in between, which waits for the requests. AdonisJS 6 calls hooks in the order
    // in which they were added, AdonisJS 7 in reverse order: either way one of ours comes before that of the server and
    // one after it.
    this.app.terminating(() => this.#terminate(false))
  }

  async shutdown(): Promise<void> {
    clearTimeout(this.#drainTimer)
    await this.#close({ release: true, timeout: this.releaseTime })
    this.#stopEvents?.()
  }

  /** The second time, nobody is served any longer. Other providers may close what a store needs before our own shutdown. */
  async #terminate(isOldestHook: boolean): Promise<void> {
    if (!this.#isReady) return this.shutdown()
    if (this.#drainTimer === undefined) {
      this.#drainTimer = setTimeout(() => void this.#close(), this.drainTime).unref()
      return
    }
    // Called in reverse order: the app's own hooks have run.
    if (isOldestHook) return this.shutdown()
    clearTimeout(this.#drainTimer)
    await this.#close()
    // Those that were added since the start come now, and what they wait for may hold locks. This one comes last.
    this.app.terminating(() => this.shutdown())
  }

  async #close(options?: CloseOptions) {
    // One that couldn't be made has been reported to whoever wanted it and has nothing to close.
    const manager = await this.#manager?.catch(() => undefined)
    await manager?.close(options)
  }

  async #createManager() {
    // Loaded here so that an ace command that makes no lock doesn't load the native addon.
    const { Verrou } = await import('../verrou.js')
    const { defineConfig } = await import('./define_config.js')
    const { resolveStores } = await import('./resolve_stores.js')

    // Checked here too: the file may be missing, or export an object that didn't pass through `defineConfig`.
    const config = defineConfig(this.app.config.get<LockConfig<KnownStoresConfig>>('lock', {}))
    const logger = await this.app.container.make('logger')

    const stores = await resolveStores(config, this.app, logger.child({ pkg: 'loquet' }))
    // Last: whoever asks again after a failure must not hear everything twice.
    if (config.events === true) {
      const { emitLockEvents } = await import('./lock_events.js')
      this.#stopEvents = await emitLockEvents(this.app)
    }
    return new Verrou({
      default: config.default,
      stores,
      retry: config.retry,
      autoExtend: config.autoExtend,
      logger,
    })
  }
}
