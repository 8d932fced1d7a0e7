import locks from '@adonisjs/lock/services/main'
import type { HttpContext } from '@adonisjs/core/http'
import queue from '#services/queue'

/**
 * Locks in the request, processes and releases in a background job, and waits for nobody.
 */
export default class OrderController {
  async process({ response, request }: HttpContext) {
    const orderId = request.input('order_id')

    const lock = locks.createLock(`order.processing.${orderId}`)
    if (!(await lock.acquireImmediately())) {
      return response.conflict('Order is already being processed')
    }

    /**
     * From here on the job has the lock, unless there is no job
     */
    try {
      await queue.dispatch('app/jobs/process_order', { orderId, lock: lock.serialize() })
    } catch (error) {
      await lock.release()
      throw error
    }

    return response.accepted('Order will be processed')
  }
}
