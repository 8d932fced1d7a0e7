import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/**
 * What processes do together, with the locks and the counter of a place: `redis` or `database`.
 *
 * @param {string} name
 */
export async function together(name) {
  const place = await import(`./${name}.js`)

  /**
   * Runs a task of `child.js` in a process of its own. Resolves when that has ended.
   *
   * @param {string} task
   * @param {string} argument
   */
  async function inChild(task, argument) {
    const path = fileURLToPath(new URL('child.js', import.meta.url))
    const child = spawn(process.execPath, [path, name, task, argument], { stdio: 'inherit' })

    const [exitCode] = await once(child, 'exit')
    if (exitCode !== 0) throw new Error(`The process for "${task}" ended with ${exitCode}`)
  }

  return {
    ...place,

    /**
     * Lets several processes count together, and resolves to what they have counted.
     *
     * @param {number} processes
     * @param {number} times - How often each of them counts up
     */
    async countTogether(processes, times) {
      await place.counter.reset()
      await Promise.all(Array.from({ length: processes }, () => inChild('count', `${times}`)))
      return place.counter.read()
    },

    /**
     * Locks an order here and has it released by another process. Resolves when that has ended.
     *
     * @param {string} orderId
     * @returns {Promise<boolean>} Whether the order was free
     */
    async releaseElsewhere(orderId) {
      const lock = place.locks.createLock(`order.processing.${orderId}`)
      if (!(await lock.acquireImmediately())) return false

      await inChild('release', JSON.stringify(lock.serialize()))
      return true
    },
  }
}
