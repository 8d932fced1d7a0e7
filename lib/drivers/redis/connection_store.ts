import { createHash } from 'node:crypto'

import { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR } from '../../errors.js'
import type { LockStore, RedisConnection } from '../../types/main.js'
import { ClientCalls } from '../client_calls.js'
import type { ConnectionSource } from './origin.js'
import type { RawOptions } from './settings.js'
import { isRefusal, withoutSecrets } from './reply_errors.js'
import { commandTimeoutOf } from './translate.js'

/** A script that changes a key only if the owner holds it. Each returns 1 or 0. */
interface Script {
  text: string
  digest: string
}

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
  evalsha?(digest: string, numberOfKeys: number, ...args: string[]): Promise<unknown>
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
    let saving: Promise<boolean> | undefined
    try {
      return await this.#ask(async (connection) => {
        await this.#calls.untouched(owner)
        saving = save(connection, key, owner, ttl)
        return saving
      })
    } catch (error) {
      if (saving) {
        this.#calls.undo(owner, saving, isRefusal, async () =>
          run(await this.#source(), RELEASE, key, owner)
        )
      }
      throw error
    }
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

function storageError(error: unknown): E_LOCK_STORAGE_ERROR {
  const cause = withoutSecrets(error)
  return new E_LOCK_STORAGE_ERROR([cause instanceof Error ? cause : String(cause)], { cause })
}

function script(text: string): Script {
  return { text, digest: createHash('sha1').update(text).digest('hex') }
}

/** Runs a script by its digest; where the server doesn't have it, by its text, which makes the server keep it. */
async function run(
  connection: RedisConnection & Extras,
  { text, digest }: Script,
  key: string,
  ...args: string[]
): Promise<boolean> {
  const all = [key, ...args]
  if (typeof connection.evalsha === 'function') {
    try {
      return Number(await connection.evalsha(digest, 1, ...all)) === 1
    } catch (error) {
      if (!/^NOSCRIPT|unknown command/i.test(String((error as Error).message))) throw error
    }
  }
  return Number(await connection.eval(text, 1, ...all)) === 1
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
