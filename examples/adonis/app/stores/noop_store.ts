import type { LockStore } from '@adonisjs/lock/types'

/**
 * The store has nothing to set.
 */
export interface NoopStoreConfig {}

/**
 * A store that does nothing: it grants no lock, and none is ever held.
 */
export class NoopStore implements LockStore {
  constructor(protected config: NoopStoreConfig) {}

  /**
   * Save the lock in the store.
   * This method should return false if the given key is already locked
   *
   * @param _key The key to lock
   * @param _owner The owner of the lock
   * @param _ttl The time to live of the lock in milliseconds. Null means no expiration
   *
   * @returns True if the lock was acquired, false otherwise
   */
  async save(_key: string, _owner: string, _ttl: number | null): Promise<boolean> {
    return false
  }

  /**
   * Delete the lock from the store if it is owned by the given owner
   * Otherwise should throws a E_LOCK_NOT_OWNED error
   */
  async delete(_key: string, _owner: string): Promise<void> {}

  /**
   * Force delete the lock from the store without checking the owner
   */
  async forceDelete(_key: string): Promise<void> {}

  /**
   * Check if the lock exists. Returns true if so, false otherwise
   */
  async exists(_key: string): Promise<boolean> {
    return false
  }

  /**
   * Extend the lock expiration. Throws an error if the lock is not owned by
   * the given owner
   * Duration is in milliseconds
   */
  async extend(_key: string, _owner: string, _duration: number): Promise<void> {}
}

/**
 * What `config/lock.ts` names the store by.
 */
export function noopStore(config: NoopStoreConfig) {
  return { driver: { factory: () => new NoopStore(config) } }
}
