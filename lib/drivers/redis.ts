import { recognizeCopies } from '../copies.js'
import { ServerEngine } from '../engine/server_engine.js'
import { native } from '../native.js'
import type { RedisStoreOptions } from '../types/main.js'
import { NativeStore } from './native_store.js'
import { ConnectionStore } from './redis/connection_store.js'
import { Origin } from './redis/origin.js'

export type {
  RedisClusterOptions,
  RedisConnection,
  RedisFencingOptions,
  RedisServerOptions,
  RedisConnectionOptions,
  RedisStoreOptions,
  RedisTlsOptions,
  RedisUrlOptions,
} from '../types/main.js'

/**
 * Keeps locks in Redis. A key is stored as it is (behind `keyPrefix`), its value is the owner, and it expires by itself:
 * just as `@verrou/core` does, so that both may be used side by side.
 *
 * The store has a native connection of its own, which takes its settings from the ioredis instance or the options.
 * Stores with the same settings share one. It is made with the first lock and doesn't keep the process alive. Where the
 * settings can't be carried over, the store uses the app's own ioredis connection, and says so once: in the log of
 * whoever uses it, or as a process warning with the code `LOQUET_REDIS_CONNECTION`.
 */
export class RedisStore extends NativeStore {
  /**
   * Connects to nothing yet.
   *
   * @throws InvalidArgumentsException if the options can't be used
   */
  constructor(options: RedisStoreOptions) {
    const origin = options instanceof Origin ? options : Origin.of(options)
    const { translation, source, fencing } = origin
    const named = { name: 'redis', warning: 'LOQUET_REDIS_CONNECTION', fencing }
    if (translation.kind === 'native') {
      const { settings, keyPrefix, warnings } = translation
      super({
        ...named,
        engine: new ServerEngine(
          (environment) => native.openRedis(environment, settings),
          keyPrefix
        ),
        remarks: warnings.map((warning) => `Redis lock store: ${warning}`),
      })
    } else {
      super({
        ...named,
        connection: new ConnectionStore(source),
        remarks: [
          `The redis lock store runs on the app's own ioredis connection, since ${translation.reason}`,
        ],
      })
    }
  }
}

recognizeCopies(RedisStore, 'RedisStore')

/**
 * A factory of redis stores: `redisStore({ connection })` with an ioredis instance, `redisStore({ url })`, or plain
 * options. What `factory` makes connects with the first lock.
 *
 * @throws InvalidArgumentsException (when `factory` is called) if the options can't be used
 */
export function redisStore(options: RedisStoreOptions): { factory: () => RedisStore } {
  return { factory: () => new RedisStore(options) }
}
