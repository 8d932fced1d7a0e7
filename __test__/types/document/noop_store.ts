import type { LockStore } from '@adonisjs/lock/types'

class NoopStore implements LockStore {
  /**
   * Save the lock in the store.
   * This method should return false if the given key is already locked
   *
   * @param key The key to lock
   * @param owner The owner of the lock
   * @param ttl The time to live of the lock in milliseconds. Null means no expiration
   *
   * @returns True if the lock was acquired, false otherwise
   */
  async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    return false
  }

  /**
   * Delete the lock from the store if it is owned by the given owner
   * Otherwise should throws a E_LOCK_NOT_OWNED error
   *
   * @param key The key to delete
   * @param owner The owner
   */
  async delete(key: string, owner: string): Promise<void> {
    return false
  }

  /**
   * Force delete the lock from the store without checking the owner
   */
  async forceDelete(key: string): Promise<Void> {
    return false
  }

  /**
   * Check if the lock exists. Returns true if so, false otherwise
   */
  async exists(key: string): Promise<boolean> {
    return false
  }

  /**
   * Extend the lock expiration. Throws an error if the lock is not owned by 
   * the given owner
   * Duration is in milliseconds
   */
  async extend(key: string, owner: string, duration: number): Promise<void> {
    return false
  }
}
