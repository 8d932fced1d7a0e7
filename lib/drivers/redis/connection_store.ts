import { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR } from '../../errors.js'
import type { LockStore, RedisConnection } from '../../types/main.js'
import { ClientCalls } from '../client_calls.js'
import type { ConnectionSource } from './origin.js'
import type { RawOptions } from './settings.js'
import { SAVE_FENCED, tagOf, TOKEN_OF } from './fence_scripts.js'
import { isRefusal, withoutSecrets } from './reply_errors.js'
import { evaluate, script } from './script.js'
import type { Script } from './script.js'
import { commandTimeoutOf } from './translate.js'

// Scripts that change a key only if the owner holds it, or ask; each returns 1 or 0.
const RELEASE = script(
  `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`
)
const EXTEND = script(
  `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0`
)
const HOLDS = script(`if redis.call('get', KEYS[1]) == ARGV[1] then return 1 end return 0`)
/** A script, because a cluster may send what only reads to a replica, which may lag behind. */
const EXISTS = script(`return redis.call('exists', KEYS[1])`)

/** What ioredis has and doubles may lack. */
interface Extras {
  options?: RawOptions & { redisOptions?: RawOptions }
  /** Whether it is one to a cluster. */
  isCluster?: boolean
  on?(event: string, listener: () => void): unknown
}

/** How often a connection has been lost, as far as is known. */
const losses = new WeakMap<RedisConnection, { count: number }>()

/**
 * Keeps locks in Redis over a connection of the app: for connections that can't be made natively. ioredis puts its
 * `keyPrefix` before the keys itself.
 */
export class ConnectionStore implements LockStore {
  readonly #source: ConnectionSource
  readonly #calls = new ClientCalls('Redis')

  /**
   * @param source - Gives the connection for each command
   */
  constructor(source: ConnectionSource) {
    this.#source = source
  }

  /**
   * @param ttl - Whole milliseconds; `null` for no expiry
   */
  async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    return this.#acquire(key, owner, (connection) => save(connection, key, owner, ttl))
  }

  /**
   * Like `save`, and takes a fencing token in the same step.
   *
   * @param ttl - Whole milliseconds; `null` for no expiry
   */
  async saveFenced(key: string, owner: string, ttl: number | null): Promise<bigint | false> {
    return this.#acquire(key, owner, (connection) => saveFenced(connection, key, owner, ttl))
  }

  async delete(key: string, owner: string): Promise<void> {
    const isDone = await this.#ask((connection) => run(connection, RELEASE, key, owner))
    if (!isDone) throw new E_LOCK_NOT_OWNED()
  }

  async forceDelete(key: string): Promise<void> {
    await this.#ask((connection) => connection.del(key))
  }

  exists(key: string): Promise<boolean> {
    return this.#ask((connection) => run(connection, EXISTS, key))
  }

  /**
   * @param duration - Whole milliseconds
   */
  async extend(key: string, owner: string, duration: number): Promise<void> {
    const isDone = await this.#ask((connection) =>
      run(connection, EXTEND, key, owner, String(duration))
    )
    if (!isDone) throw new E_LOCK_NOT_OWNED()
  }

  async #acquire<T extends boolean | bigint>(
    key: string,
    owner: string,
    send: (connection: RedisConnection) => Promise<T>
  ): Promise<T> {
    let saving: Promise<T> | undefined
    try {
      return await this.#ask(async (connection) => {
        await this.#calls.untouched(owner)
        saving = send(connection)
        return saving
      })
    } catch (error) {
      if (saving) {
        this.#calls.undo(owner, saving.then(Boolean), isRefusal, async () =>
          run(await this.#source(), RELEASE, key, owner)
        )
      }
      throw error
    }
  }

  async #ask<T>(send: (connection: RedisConnection) => Promise<T>): Promise<T> {
    let connection: RedisConnection
    try {
      connection = await this.#source()
    } catch (error) {
      throw storageError(error)
    }
    const sent = send(connection).catch((error: unknown) => {
      throw storageError(error)
    })
    // ioredis may hold commands back for ever while it isn't connected.
    return this.#calls.answer(timeoutOf(connection), sent)
  }
}

async function save(
  connection: RedisConnection,
  key: string,
  owner: string,
  ttl: number | null
): Promise<boolean> {
  const { count } = lossesOf(connection)
  const reply =
    ttl === null
      ? await connection.set(key, owner, 'NX')
      : await connection.set(key, owner, 'PX', ttl, 'NX')
  if (reply !== null) return true
  // After a loss ioredis sends again what hasn't been answered: it may be our own lease that is in the way.
  return lossesOf(connection).count !== count && (await run(connection, HOLDS, key, owner))
}

async function saveFenced(
  connection: RedisConnection & Extras,
  key: string,
  owner: string,
  ttl: number | null
): Promise<bigint | false> {
  const { count } = lossesOf(connection)
  const { keyPrefix } = connection.options ?? {}
  const tag = connection.isCluster ? tagOf(`${(keyPrefix as string | undefined) ?? ''}${key}`) : ''
  const send = (one: Script, ...args: string[]) =>
    evaluate(connection, one, key, owner, tag, ...args)
  const now = String(Date.now() * 1000)
  const token = tokenIn(await send(SAVE_FENCED, ttl === null ? '' : String(ttl), now))
  if (token !== false) return token
  // As above.
  return lossesOf(connection).count !== count && tokenIn(await send(TOKEN_OF))
}

/** A token comes as text, and as 0 if there is none; its counter may have expired. */
function tokenIn(reply: unknown): bigint | false {
  const token = BigInt((reply as string | number | null) ?? 0)
  return token > 0n && token
}

function storageError(error: unknown): E_LOCK_STORAGE_ERROR {
  const cause = withoutSecrets(error)
  return new E_LOCK_STORAGE_ERROR([cause instanceof Error ? cause : String(cause)], { cause })
}

async function run(
  connection: RedisConnection,
  one: Script,
  key: string,
  ...args: string[]
): Promise<boolean> {
  return Number(await evaluate(connection, one, key, ...args)) === 1
}

function lossesOf(connection: RedisConnection & Extras): { count: number } {
  let known = losses.get(connection)
  if (known === undefined) {
    const counter = { count: 0 }
    // One listener each for all stores on the connection; `-node` is what a cluster says of a single node.
    for (const event of ['close', '-node']) connection.on?.(event, () => counter.count++)
    losses.set(connection, counter)
    known = counter
  }
  return known
}

function timeoutOf(connection: RedisConnection & Extras): number {
  const { options } = connection
  return commandTimeoutOf({ ...options, ...options?.redisOptions })
}
