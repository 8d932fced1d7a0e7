import { setTimeout as sleep } from 'node:timers/promises'

/** @import { Locker } from './locker.mjs' */

/**
 * The queue on one key: from the moment in which the holder is told to release until the last
 * waiter's body has ended.
 *
 * @param {Locker} locker
 * @param {string} key
 * @param {{ count: number, work: number }} queue - The waiters, and how many milliseconds each holds it
 * @returns {Promise<{ all: number, bodies: number }>} Milliseconds: of it all, and of the bodies alone
 */
export async function drain(locker, key, { count, work }) {
  let bodies = 0
  let last = 0
  const release = await locker.acquire(key)
  const queue = Array.from({ length: count }, async () => {
    const free = await locker.acquire(key)
    const start = performance.now()
    await sleep(work)
    last = performance.now()
    bodies += last - start
    await free()
  })
  // Queueing up is over before the clock starts
  await sleep(50)
  const start = performance.now()
  await release()
  await Promise.all(queue)
  return { all: last - start, bodies }
}

/**
 * The mean time of the same bodies one after another without a lock: a timer of 5 ms takes longer.
 *
 * @param {{ count: number, work: number }} queue
 */
export async function ideal({ count, work }) {
  const start = performance.now()
  for (let turn = 0; turn < count; turn++) {
    await sleep(work)
  }
  return (performance.now() - start) / count
}
