import { setTimeout as sleep } from 'node:timers/promises'
import { now } from './fleet.mjs'

/** @import { Locker } from './locker.mjs' */

/**
 * @typedef {object} Order
 * @property {string} key
 * @property {number} tasks
 * @property {number} turns - Of each task, one after another
 * @property {number} work - Milliseconds that each turn holds the lock
 * @property {number} at - When to begin, by the clock that the processes share
 *
 * @typedef {object} Report
 * @property {[start: number, end: number][]} bodies - By the clock that the processes share
 * @property {number} longest - Milliseconds of the longest wait for the lock
 */

/**
 * Makes this process one among others that lock the same key: it does what it is ordered to over the IPC
 * channel, and reports.
 *
 * @param {Locker} locker
 * @param {number} pairs - To warm up with
 */
export async function serveAsMember(locker, pairs) {
  // Compiles what both ways of getting a lock run through
  for (let turn = 0; turn < pairs; turn++) {
    await locker.pair(`warm-up.${process.pid}`)
  }
  const key = `warm-up.${process.pid}`
  await obey(locker, { key, tasks: 2, turns: 3, work: 1, at: now() })

  process.on('message', async (/** @type {Order} */ order) => {
    process.send?.(await obey(locker, order))
  })
  process.on('disconnect', () => process.exit())
  process.send?.('ready')
}

/**
 * @param {Locker} locker
 * @param {Order} order
 * @returns {Promise<Report>}
 */
async function obey(locker, { key, tasks, turns, work, at }) {
  /** @type {Report} */
  const report = { bodies: [], longest: 0 }
  await sleep(Math.max(0, at - now()))
  await Promise.all(
    Array.from({ length: tasks }, async () => {
      for (let turn = 0; turn < turns; turn++) {
        const asked = now()
        const release = await locker.acquire(key)
        const start = now()
        report.longest = Math.max(report.longest, start - asked)
        await sleep(work)
        report.bodies.push([start, now()])
        await release()
      }
    })
  )
  return report
}
