import { setTimeout } from 'node:timers/promises'
import { locks } from './locks.js'

/**
 * Stands for the work on an order.
 */
async function processOrder() {
  await setTimeout(50)
}

/**
 * Manual locking: acquire, work, release.
 *
 * @param {string} orderId
 * @param {() => Promise<void>} [work] - What to do while the order is locked
 */
export async function processManually(orderId, work = processOrder) {
  const lock = locks.createLock(`order.processing.${orderId}`)
  if (!(await lock.acquireImmediately())) return 'told so'

  try {
    await work()
    return 'processed'
  } finally {
    await lock.release()
  }
}

/**
 * Automatic locking: the lock is held while the callback runs and released whatever becomes of it.
 *
 * @param {string} orderId
 * @param {() => Promise<void>} [work] - What to do while the order is locked
 */
export async function processAutomatically(orderId, work = processOrder) {
  const [executed, result] = await locks
    .createLock(`order.processing.${orderId}`)
    .runImmediately(async () => {
      await work()
      return 'processed'
    })

  return executed ? result : 'told so'
}

/**
 * Waits for its turn, but not for ever: rejects with the signal's reason if that comes first.
 *
 * @param {string} orderId
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} [work] - What to do while the order is locked
 */
export async function processPatiently(orderId, signal, work = processOrder) {
  const lock = locks.createLock(`order.processing.${orderId}`)
  await lock.acquire({ signal })

  try {
    await work()
    return 'processed'
  } finally {
    await lock.release()
  }
}
