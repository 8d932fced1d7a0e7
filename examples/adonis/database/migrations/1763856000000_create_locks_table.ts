import { BaseSchema } from '@adonisjs/lucid/schema'

export default class extends BaseSchema {
  protected tableName = 'locks'

  async up() {
    this.schema.createTable(this.tableName, (table) => {
      /**
       * The collation takes effect on MySQL and MariaDB only. These
       * compare text without regard to case and accents by default:
       * "Order" and "order" would be one and the same lock.
       */
      table.string('key', 255).notNullable().collate('utf8mb4_bin').primary()
      table.string('owner').notNullable().collate('utf8mb4_bin')

      /**
       * Milliseconds since the Unix epoch, null for a lock that
       * doesn't expire.
       */
      table.bigint('expiration').unsigned().nullable()
    })
  }

  async down() {
    this.schema.dropTable(this.tableName)
  }
}
