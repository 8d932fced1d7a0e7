import locks from '@adonisjs/lock/services/main'
import type { HttpContext } from '@adonisjs/core/http'
import { processOrder } from '#services/process_order'

/**
 * Locks with another store than the default one. This one grants nothing, so no order is ever processed here.
 */
export default class OrderController {
  async process({ request }: HttpContext) {
    const orderId = request.input('order_id')

    const [executed] = await locks
      .use('noop')
      .createLock(`order.processing.${orderId}`)
      .runImmediately(() => processOrder(orderId))

    return executed ? 'Order processed successfully' : 'No orders are taken here'
  }
}
