import locks from '@adonisjs/lock/services/main'
import type { HttpContext } from '@adonisjs/core/http'
import queue from '#services/queue'

/**
 * Locks in the request, processes and releases in a background job.
 */
export default class OrderController {
  async process({ response, request }: HttpContext) {
    const orderId = request.input('order_id')

    /**
     * Waits for its turn if the order is being processed
     */
    const lock = locks.createLock(`order.processing.${orderId}`)
    await lock.acquire()

    /**
     * Dispatch a background job to process the order.
     *
     * We also pass the serialized lock to the job, so that the job
     * can release the lock once the order has been processed.
     */
    await queue.dispatch('app/jobs/process_order', {
      orderId,
      lock: lock.serialize(),
    })

    return response.accepted('Order will be processed')
  }
}
