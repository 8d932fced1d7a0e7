import { lockers } from '../harness/database_contenders.mjs'
import { kinds } from '../harness/database_servers.mjs'
import { openFleet } from '../harness/fleet.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */
/** @import { Kind, Locking } from '../harness/database_servers.mjs' */

const size = 4
const work = 2
const turns = 20

/**
 * @param {Kind} kind
 * @param {Locking} name
 * @returns {Contender}
 */
function contender(kind, name) {
  return {
    name,
    package: name,
    open: async ({ node }) => {
      return async () => {
        const fleet = await openFleet('database_member.mjs', [kind, name], size, node)
        const burst = await fleet.run({ key: 'orders.1', members: size, tasks: 1, turns, work })
        fleet.close()
        return { turn: burst.turn, longest: burst.longest / burst.fairShare, detail: burst }
      }
    },
  }
}

/** @type {Group[]} */
export const groups = kinds.map((kind) => {
  const name = `database-fleet/${kind}`
  return {
    name,
    startsProcesses: true,
    views: [
      {
        name,
        title: `${kind}: a turn of ${size} processes on one key, ${work} ms body`,
        unit: 'ms',
        of: 'turn',
        plot: true,
        targets: [{ against: '@verrou/core', atMostShare: 0.5 }],
      },
      {
        name: `${name}/longest`,
        title: `${kind}: the longest wait of ${size} processes`,
        unit: 'fair shares',
        of: 'longest',
        targets: [],
      },
    ],
    contenders: lockers.map((locker) => contender(kind, locker)),
  }
})
