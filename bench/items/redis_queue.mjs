import { setTimeout as sleep } from 'node:timers/promises'
import { lockers, openLocker } from '../harness/redis_contenders.mjs'
import { countCommands, serverPort } from '../harness/redis_server.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */
/** @import { Locker } from '../harness/redis_contenders.mjs' */

const waiters = 100
const work = 5

/**
 * The queue on one key: from the moment in which the holder is told to release until the last
 * waiter's body has ended.
 *
 * @param {Locker} locker
 * @param {string} key
 * @param {number} count
 * @returns {Promise<{ all: number, bodies: number }>} Milliseconds: of it all, and of the bodies alone
 */
async function drain(locker, key, count) {
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
 * @param {number} count
 */
async function ideal(count) {
  const start = performance.now()
  for (let turn = 0; turn < count; turn++) {
    await sleep(work)
  }
  return (performance.now() - start) / count
}

/**
 * @param {string} name
 * @returns {Contender}
 */
function contender(name) {
  // A queue of Verrou takes most of half a minute
  const slow = name === '@verrou/core'
  return {
    name,
    package: name,
    mostRounds: slow ? 1 : undefined,
    open: async () => {
      const locker = await openLocker(name)
      if (!slow) {
        await drain(locker, 'orders.41', 40)
      }
      return async () => {
        const before = await ideal(waiters)
        /** @type {{ all: number, bodies: number }} */
        let times = { all: 0, bodies: 0 }
        const count = () =>
          countCommands(serverPort(), async () => {
            times = await drain(locker, 'orders.43', waiters)
          })
        const timed = slow ? undefined : await drain(locker, 'orders.42', waiters)
        const after = slow ? before : await ideal(waiters)
        // A queue of its own, since counting slows the server down; not so much as Verrou waits
        const { total, names } = await count()
        const { all, bodies } = timed ?? times
        return {
          handOver: all / waiters,
          over: all / waiters - (before + after) / 2,
          overBodies: (all - bodies) / waiters,
          commands: total / waiters,
          detail: { ideal: [before, after], names },
        }
      }
    },
  }
}

const title = `a hand-over, ${waiters} waiters in one process, ${work} ms body`

/** @type {Group[]} */
export const groups = [
  {
    name: 'redis-queue',
    warmUps: 0,
    views: [
      {
        name: 'redis-queue/time',
        title,
        unit: 'ms',
        of: 'handOver',
        plot: true,
        targets: [],
      },
      {
        name: 'redis-queue/over',
        title: `${title}: over the ideal`,
        unit: 'ms',
        of: 'over',
        targets: [{ atMost: 1 }],
      },
      {
        name: 'redis-queue/between',
        title: `${title}: from the end of a body to the beginning of the next`,
        unit: 'ms',
        of: 'overBodies',
        targets: [],
      },
      {
        name: 'redis-queue/commands',
        title: `${title}: commands`,
        unit: 'commands',
        of: 'commands',
        plot: true,
        targets: [{ atMost: 1.6 }],
      },
    ],
    contenders: lockers.map(contender),
  },
]
