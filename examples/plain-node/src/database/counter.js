import { database } from './locks.js'

/**
 * A number in the database that anybody may read and write. What was read may have changed before it is written, unless a
 * lock is held meanwhile.
 */
export const counter = {
  /**
   * Makes the counter, or sets it back to 0.
   */
  async reset() {
    await database.schema.dropTableIfExists('counters')
    await database.schema.createTable('counters', (table) => {
      table.integer('count').notNullable()
    })
    await database('counters').insert({ count: 0 })
  },

  async read() {
    const { count } = await database('counters').first()
    return count
  },

  /**
   * @param {number} count
   */
  async write(count) {
    await database('counters').update({ count })
  },
}
