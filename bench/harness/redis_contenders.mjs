import { Redis } from 'ioredis'
import { BEFORE, importOf } from './before.mjs'
import { byFactory, ttl } from './locker.mjs'
import { host, serverPort } from './redis_server.mjs'

/** @import { Locker } from './locker.mjs' */

/** Milliseconds. */
const forever = 3_600_000

/**
 * Settings are each library's own apart from the TTL and from waiting without end; ioredis is on one
 * connection, as it is by itself.
 *
 * @type {Record<string, () => Promise<Locker>>}
 */
const openers = {
  'loquet': () => loquet('loquet'),

  '@verrou/core': async () => {
    const { LockFactory } = await import('@verrou/core')
    const { RedisStore } = await import('@verrou/core/drivers/redis')
    return byFactory(new LockFactory(new RedisStore({ connection: connect() })))
  },

  'redlock': async () => {
    const { default: Redlock } = await import('redlock')
    const redlock = new Redlock([connect()], { retryCount: -1 })
    return {
      acquire: async (key) => {
        const lock = await redlock.lock(key, ttl)
        return () => lock.unlock()
      },
      pair: async (key) => {
        const lock = await redlock.lock(key, ttl)
        await lock.unlock()
      },
    }
  },

  'redis-semaphore': async () => {
    const { Mutex } = await import('redis-semaphore')
    const client = connect()
    const settings = { lockTimeout: ttl, acquireTimeout: forever }
    return {
      acquire: async (key) => {
        const mutex = new Mutex(client, key, settings)
        await mutex.acquire()
        return () => mutex.release()
      },
      pair: async (key) => {
        const mutex = new Mutex(client, key, settings)
        await mutex.acquire()
        await mutex.release()
      },
    }
  },
}

/** @param {string} build */
async function loquet(build) {
  const { LockFactory } = await importOf('loquet', build)
  const { RedisStore } = await importOf('loquet/drivers/redis', build)
  return byFactory(new LockFactory(new RedisStore({ host, port: serverPort() })))
}

/** The packages that lock, loquet first. */
export const lockers = Object.keys(openers)

/**
 * @param {string} name - A package, or {@link BEFORE}
 * @returns {Promise<Locker>}
 */
export async function openLocker(name) {
  const locker = await (name === BEFORE ? loquet(BEFORE) : openers[name]())
  // Connects, loads its scripts, and fails here rather than in the middle
  await locker.pair('loquet-bench:first')
  return locker
}

function connect() {
  return new Redis({ host, port: serverPort() })
}
