import { args, BaseCommand, flags } from '@adonisjs/core/ace'
import type { CommandOptions } from '@adonisjs/core/types/ace'

/**
 * Of the locks in the memory of a server nothing can be seen from here.
 */
const STORES = ['redis', 'database', 'dynamodb'] as const

export default class OrderUnlock extends BaseCommand {
  static commandName = 'order:unlock'
  static description = 'Free the lock that an order has in a store, whoever holds it'
  static help = [
    'For an order whose job was killed, if the TTL of its lock is too long to wait for. A job that still works on it',
    'fails when it wants to release its lock.',
  ]

  static options: CommandOptions = { startApp: true }

  @args.string({ description: 'The order' })
  declare orderId: string

  @flags.string({ description: `Where the lock is: ${STORES.join(', ')}`, default: 'redis' })
  declare store: string

  async run() {
    const store = STORES.find((name) => name === this.store)
    if (!store) {
      this.exitCode = 1
      this.logger.error(`--store must be one of ${STORES.join(', ')}`)
      return
    }

    const { default: locks } = await import('@adonisjs/lock/services/main')
    const lock = locks.use(store).createLock(`order.processing.${this.orderId}`)
    if (!(await lock.isLocked())) {
      this.logger.info(`Order ${this.orderId} is not locked`)
      return
    }

    await lock.forceRelease()
    this.logger.success(`Order ${this.orderId} is free`)
  }
}
