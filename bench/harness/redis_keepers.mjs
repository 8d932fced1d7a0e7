import { Redis } from 'ioredis'
import { host, serverPort } from './redis_server.mjs'

/**
 * Locks that are extended by themselves.
 *
 * @typedef {object} Keeper
 * @property {(key: string) => Promise<unknown>} hold
 * @property {() => number} lost - How many are no longer held
 */

function connect() {
  return new Redis({ host, port: serverPort() })
}

/**
 * Settings are each library's own apart from the TTL.
 *
 * @type {Record<string, (ttl: number) => Promise<Keeper>>}
 */
const openers = {
  'loquet': async (ttl) => {
    const { LockFactory } = await import('loquet')
    const { RedisStore } = await import('loquet/drivers/redis')
    const factory = new LockFactory(new RedisStore({ host, port: serverPort() }))
    /** @type {import('loquet').Lock[]} */
    const locks = []
    return {
      hold: async (key) => {
        const lock = factory.createLock(key, ttl)
        if (!(await lock.acquire({ autoExtend: true }))) throw new Error(`${key} is held`)
        locks.push(lock)
      },
      lost: () => locks.filter((lock) => !lock.isHeld()).length,
    }
  },

  'redlock-5': async (ttl) => {
    const { default: Redlock } = await import('redlock-5')
    const redlock = new Redlock([connect()])
    /** @type {{ aborted: boolean }[]} */
    const signals = []
    return {
      hold: (key) =>
        new Promise((held, failed) => {
          const work = (/** @type {{ aborted: boolean }} */ signal) => {
            signals.push(signal)
            held(undefined)
            return new Promise(() => {})
          }
          redlock.using([key], ttl, work).catch(failed)
        }),
      lost: () => signals.filter((signal) => signal.aborted).length,
    }
  },

  'redis-semaphore': async (ttl) => {
    const { Mutex } = await import('redis-semaphore')
    const client = connect()
    let lost = 0
    return {
      hold: async (key) => {
        const onLockLost = () => lost++
        await new Mutex(client, key, { lockTimeout: ttl, onLockLost }).acquire()
      },
      lost: () => lost,
    }
  },
}

/** The packages that extend leases by themselves, loquet first. */
export const keepers = Object.keys(openers)

/**
 * @param {string} name
 * @param {number} ttl - Milliseconds
 */
export function openKeeper(name, ttl) {
  return openers[name](ttl)
}
