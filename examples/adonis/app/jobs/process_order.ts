import locks from '@adonisjs/lock/services/main'
import type { SerializedLock } from '@adonisjs/lock/types'
import { processOrder } from '#services/process_order'

export class ProcessOrder {
  async handle({ orderId, lock }: { orderId: string; lock: SerializedLock }) {
    /**
     * We are restoring the lock from the serialized version
     */
    const handle = locks.restoreLock(lock)

    /**
     * Process the order
     */
    try {
      await processOrder(orderId)
    } finally {
      /**
       * Release the lock
       */
      await handle.release()
    }
  }
}
