import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { locks } from './locks.js'

/**
 * Locks an order here and has it processed and released in a worker thread. Resolves when the worker thread has ended.
 *
 * @param {string} orderId
 * @returns {Promise<boolean>} Whether the order was free
 */
export async function processInWorker(orderId) {
  const lock = locks.use('threads').createLock(`order.processing.${orderId}`)
  if (!(await lock.acquireImmediately())) return false

  /**
   * A serialized lock is plain JSON and goes wherever JSON goes.
   */
  const worker = new Worker(new URL('worker.js', import.meta.url), {
    workerData: { orderId, lock: JSON.stringify(lock.serialize()) },
  })

  const [exitCode] = await once(worker, 'exit')
  if (exitCode !== 0) throw new Error(`The worker thread ended with ${exitCode}`)
  return true
}
