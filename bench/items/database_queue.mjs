import { lockers, openLocker } from '../harness/database_contenders.mjs'
import { kinds } from '../harness/database_servers.mjs'
import { drain, ideal } from '../harness/queue.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */
/** @import { Kind, Locking } from '../harness/database_servers.mjs' */

const queue = { count: 40, work: 5 }

/**
 * @param {Kind} kind
 * @param {Locking} name
 * @returns {Contender}
 */
function contender(kind, name) {
  // It asks every 250 ms: a queue takes it most of ten seconds
  const slow = name === '@verrou/core'
  return {
    name,
    package: name,
    mostRounds: slow ? 1 : undefined,
    open: async () => {
      const locker = await openLocker(kind, name)
      if (!slow) {
        await drain(locker, 'orders.41', queue)
      }
      return async () => {
        const before = await ideal(queue)
        const { all, bodies } = await drain(locker, 'orders.42', queue)
        const after = await ideal(queue)
        return {
          handOver: all / queue.count,
          over: (all - bodies) / queue.count,
          detail: { ideal: [before, after] },
        }
      }
    },
  }
}

/** @type {Group[]} */
export const groups = kinds.map((kind) => {
  const name = `database-queue/${kind}`
  const title = `${kind}: a hand-over, ${queue.count} waiters in one process, ${queue.work} ms body`
  return {
    name,
    warmUps: 0,
    views: [
      { name, title, unit: 'ms', of: 'handOver', plot: true, targets: [{ atMost: 12 }] },
      {
        name: `${name}/between`,
        title: `${title}: from the end of a body to the beginning of the next`,
        unit: 'ms',
        of: 'over',
        targets: [],
      },
    ],
    contenders: lockers.map((locker) => contender(kind, locker)),
  }
})
