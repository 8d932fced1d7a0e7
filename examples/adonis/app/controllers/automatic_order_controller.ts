import locks from '@adonisjs/lock/services/main'
import type { HttpContext } from '@adonisjs/core/http'
import { processOrder } from '#services/process_order'

/**
 * Automatic locking: the lock is held while the callback runs and released whatever becomes of it.
 */
export default class OrderController {
  async process({ request }: HttpContext) {
    const orderId = request.input('order_id')

    /**
     * Will run the function only if lock is available
     * Lock will also be automatically released once the function
     * has been executed
     */
    const [executed, result] = await locks
      .createLock(`order.processing.${orderId}`)
      .runImmediately(async () => {
        /**
         * Lock has been acquired. We can process the order
         */
        await processOrder(orderId)
        return 'Order processed successfully'
      })

    /**
     * Lock could not be acquired and function was not executed
     */
    if (!executed) return 'Order is already being processed'

    return result
  }
}
