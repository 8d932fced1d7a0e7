/**
 * Where a store's settings come from, and the connection that it falls back to.
 */
import { InvalidArgumentsException } from '../../errors.js'
import { invalid } from '../../validation.js'
import type { RedisConnection, RedisStoreOptions } from '../../types/main.js'
import { translateInstance } from './instance.js'
import type { RawOptions, Translation } from './settings.js'
import { tryTranslating } from '../translation/values.js'
import { translateConfig } from './translate.js'
import { parseRedisUrl } from './url.js'

/** The app's own connection; asked for whenever a command is sent, since the app may replace it. */
export type ConnectionSource = () => RedisConnection | Promise<RedisConnection>

export class Origin {
  constructor(
    readonly translation: Translation,
    readonly source: ConnectionSource,
    /** Whether locks are fenced unless they say otherwise. */
    readonly fencing = false
  ) {}

  /**
   * @throws InvalidArgumentsException if the options can't be used
   */
  static of(options: RedisStoreOptions): Origin {
    if (typeof options !== 'object' || options === null) {
      throw new InvalidArgumentsException(
        `Invalid redis store options: expected an object, got ${kindOf(options)}`
      )
    }
    const { connection, fencing = false, ...others } = options as RawOptions
    assertFencing(fencing)
    // A connection that is undefined and nothing else: an instance was meant, and the default host isn't.
    const isMeant = 'connection' in options && Object.keys(others).length === 0
    return connection !== undefined || isMeant
      ? Origin.ofConnection(connection, fencing)
      : Origin.ofOptions(others, fencing)
  }

  /**
   * A connection of `config/redis.ts`.
   */
  static ofConfig(config: object, source: ConnectionSource, fencing: unknown = false): Origin {
    assertFencing(fencing)
    return new Origin(
      tryTranslating(() => translateConfig(config as RawOptions)),
      source,
      fencing
    )
  }

  private static ofConnection(connection: unknown, fencing: boolean): Origin {
    const instance = unwrap(connection)
    if (!isConnection(instance)) {
      throw new InvalidArgumentsException(
        `Invalid redis store option "connection": expected an ioredis instance, got ${kindOf(connection)}`
      )
    }
    return new Origin(translateInstance(instance), () => instance, fencing)
  }

  private static ofOptions({ url, ...options }: RawOptions, fencing: boolean): Origin {
    if (url !== undefined && (typeof url !== 'string' || !canParse(url))) {
      // Not shown: there may be a password in it.
      throw new InvalidArgumentsException(
        'Invalid redis store option "url": expected a URL such as redis://user:password@host:6379/0'
      )
    }
    const result = tryTranslating(() => translateConfig(options, url))
    if (result.kind === 'native') return new Origin(result, unreachable, fencing)
    throw new InvalidArgumentsException(
      `Invalid redis store options: ${result.reason}. With an ioredis instance it works: redisStore({ connection })`
    )
  }
}

/**
 * @throws InvalidArgumentsException if it is neither true nor false
 */
function assertFencing(fencing: unknown): asserts fencing is boolean {
  if (typeof fencing !== 'boolean') {
    throw invalid('redis store option "fencing"', 'true or false', fencing)
  }
}

/** What `@adonisjs/redis` calls a connection is an object around ioredis's. */
function unwrap(connection: unknown): unknown {
  const inner = (connection as { ioConnection?: unknown } | null | undefined)?.ioConnection
  return isConnection(inner) ? inner : connection
}

function isConnection(value: unknown): value is RedisConnection {
  if (typeof value !== 'object' || value === null) return false
  const { set, del, eval: evaluate } = value as Record<string, unknown>
  return [set, del, evaluate].every((method) => typeof method === 'function')
}

/** A value's type, for errors: the value itself may contain a password. */
function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return typeof value === 'object' ? 'another object' : typeof value
}

function canParse(url: string): boolean {
  try {
    parseRedisUrl(url)
    return url !== ''
  } catch {
    return false
  }
}

function unreachable(): never {
  throw new Error('A store with plain options has no connection of the app')
}
