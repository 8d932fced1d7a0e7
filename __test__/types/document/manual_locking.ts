// title: Manual locking
import { errors } from '@adonisjs/lock'
import locks from '@adonisjs/lock/services/main'
import { HttpContext } from '@adonisjs/core/http'

export default class OrderController {
  async process({ response, request }: HttpContext) {
    const orderId = request.input('order_id')

    /**
     * Try to acquire the lock immediately ( without retrying )
     */
    const lock = locks.createLock(`order.processing.${orderId}`)
    const acquired = await lock.acquireImmediately()
    if (!acquired) {
      return 'Order is already being processed'
    }

    /**
     * Lock has been acquired. We can process the order
     */
    try {
      await processOrder()
      return 'Order processed successfully'
    } finally {
      /**
       * Always release the lock using the `finally` block, so that
       * we are sure that the lock is released even when an exception
       * is thrown during the processing.
       */
      await lock.release()
    }
  }
}
