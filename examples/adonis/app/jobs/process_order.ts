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
     * The job may have waited in the queue for most of the lock's TTL: it counts anew from here. Rejects if the lock is
     * lost, since somebody else may be processing the order then
     */
    await handle.extend()

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
