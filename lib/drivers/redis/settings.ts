/**
 * What the native connection needs to know, in the form in which the addon takes it. Nothing here is shown to users: it
 * is made of an ioredis instance, of `config/redis.ts` or of plain options, see `translate.ts`.
 */

/** Where a server is: a host and a port, or the path of a unix socket. */
export interface RedisNode {
  host?: string
  port?: number
  path?: string
}

/** Texts are PEM. */
export interface RedisTls {
  /** The authorities that are trusted; those that Node.js trusts if there are none. */
  ca: string[]
  cert?: string
  key?: string
  /** The name that the server's certificate must bear, if not the host's. */
  servername?: string
  rejectUnauthorized: boolean
}

export interface RedisSentinel {
  /** What the sentinels call the primary. */
  name: string
  username?: string
  password?: string
  tls?: RedisTls
}

/** For networks that translate addresses: what to use instead of the address `from` that a server tells. */
export interface RedisNat {
  /** `host:port` */
  from: string
  host: string
  port: number
}

/** Everything that a connection needs. Stores with equal settings share one. Times are in milliseconds. */
export interface RedisSettings {
  kind: 'standalone' | 'sentinel' | 'cluster'
  /** The server; the sentinels; some nodes of the cluster. */
  nodes: RedisNode[]
  username?: string
  password?: string
  db: number
  /** 0 for any, 4 or 6. */
  family: number
  connectTimeout: number
  commandTimeout: number
  /** How long a silent connection waits before the operating system probes it; 0 leaves that to the addon. */
  keepAlive: number
  /** The name in `CLIENT LIST`. */
  connectionName?: string
  tls?: RedisTls
  sentinel?: RedisSentinel
  natMap?: RedisNat[]
}

/** What becomes of somebody's options. */
export type Translation =
  | {
      kind: 'native'
      settings: RedisSettings
      /** Put before every key. */
      keyPrefix: string
      /** What the person should hear of, each a sentence without a full stop. */
      warnings: string[]
    }
  | {
      kind: 'connection'
      /** Which option can't be carried over and why; what follows "since". Names options, never shows values. */
      reason: string
    }

export { Untranslatable } from '../translation/values.js'
export type { RawOptions } from '../translation/values.js'
