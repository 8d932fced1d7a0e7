import { drain, ideal } from '../harness/queue.mjs'
import { lockers, openLocker } from '../harness/redis_contenders.mjs'
import { countCommands, serverPort } from '../harness/redis_server.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

const waiters = 100
const work = 5
const queue = { count: waiters, work }

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
        await drain(locker, 'orders.41', { count: 40, work })
      }
      return async () => {
        const before = await ideal(queue)
        /** @type {{ all: number, bodies: number }} */
        let times = { all: 0, bodies: 0 }
        const count = () =>
          countCommands(serverPort(), async () => {
            times = await drain(locker, 'orders.43', queue)
          })
        const timed = slow ? undefined : await drain(locker, 'orders.42', queue)
        const after = slow ? before : await ideal(queue)
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
