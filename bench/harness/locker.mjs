/**
 * A lock library at work.
 *
 * @typedef {object} Locker
 * @property {(key: string) => Promise<() => unknown>} acquire - Waits for the lock as long as it takes
 *   and resolves to its release
 * @property {(key: string) => Promise<unknown>} pair - Acquires and releases
 */

/** Milliseconds, long enough for every queue here. */
export const ttl = 60_000

/**
 * loquet and Verrou have the same API, so that the same lines drive both.
 *
 * @param {{ createLock: (key: string, ttl: number) => { acquire: () => Promise<unknown>,
 *   release: () => Promise<void> } }} factory
 * @returns {Locker}
 */
export function byFactory(factory) {
  return {
    acquire: async (key) => {
      const lock = factory.createLock(key, ttl)
      await lock.acquire()
      return () => lock.release()
    },
    pair: async (key) => {
      const lock = factory.createLock(key, ttl)
      await lock.acquire()
      await lock.release()
    },
  }
}
