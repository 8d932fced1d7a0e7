import { Verrou } from 'loquet'
import { memoryStore } from 'loquet/drivers/memory'
import { JournalStore } from './journal_store.js'

/**
 * What the journal store writes to.
 *
 * @type {string[]}
 */
export const journal = []

/**
 * The locks of the application, made once and imported where they are needed.
 */
export const locks = new Verrou({
  default: 'memory',
  stores: {
    memory: { driver: memoryStore() },

    /**
     * One lock space for all worker threads of the process that name it.
     */
    threads: { driver: memoryStore({ shared: 'orders' }) },

    /**
     * A custom store.
     */
    journal: {
      driver: { factory: () => new JournalStore(memoryStore().factory(), journal) },
    },
  },
})
