/**
 * A custom store: any object with these five methods, synchronous or not. This one leaves the work to another store and
 * writes down what it was asked for, with the answer.
 *
 * @implements {import('loquet/types').LockStore}
 */
export class JournalStore {
  #store
  #journal

  /**
   * @param {import('loquet/types').LockStore} store - The store that does the work
   * @param {string[]} journal - What to write to
   */
  constructor(store, journal) {
    this.#store = store
    this.#journal = journal
  }

  async save(key, owner, ttl) {
    const acquired = await this.#store.save(key, owner, ttl)
    this.#journal.push(`save ${key}: ${acquired ? 'acquired' : 'taken'}`)
    return acquired
  }

  async delete(key, owner) {
    await this.#store.delete(key, owner)
    this.#journal.push(`delete ${key}`)
  }

  async forceDelete(key) {
    await this.#store.forceDelete(key)
    this.#journal.push(`force delete ${key}`)
  }

  async exists(key) {
    const exists = await this.#store.exists(key)
    this.#journal.push(`exists ${key}: ${exists ? 'yes' : 'no'}`)
    return exists
  }

  async extend(key, owner, duration) {
    await this.#store.extend(key, owner, duration)
    this.#journal.push(`extend ${key}: ${duration} ms`)
  }
}
