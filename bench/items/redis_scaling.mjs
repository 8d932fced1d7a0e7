import { openFleet } from '../harness/fleet.mjs'
import { countCommands, serverPort } from '../harness/redis_server.mjs'

/** @import { Contender, Group, View } from '../harness/types.mjs' */

const sizes = [1, 2, 4, 8, 16, 32]
const tasks = 10
const work = 2

/**
 * One fleet for all sizes: who isn't ordered to work does nothing.
 *
 * @param {string} name
 * @returns {Contender}
 */
function contender(name) {
  return {
    name,
    package: name,
    open: async ({ node }) => {
      return async () => {
        const fleet = await openFleet('redis_member.mjs', [name], Math.max(...sizes), node)
        /** @type {Record<string, number>} */
        const figures = {}
        /** @type {Record<string, unknown>} */
        const detail = {}
        for (const size of sizes) {
          const order = { members: size, tasks, work }
          // With as many turns as that a wait can be longer than three fair shares
          const timed = await fleet.run({ ...order, key: `timed.${size}`, turns: 4 })
          // Another burst, since counting slows the server down
          let turns = 0
          const { total, names } = await countCommands(serverPort(), async () => {
            const counted = await fleet.run({ ...order, key: `counted.${size}`, turns: 2 })
            turns = counted.turns
          })
          figures[`${size}.commands`] = total / turns
          figures[`${size}.between`] = timed.between
          figures[`${size}.longest`] = timed.longest / timed.fairShare
          detail[size] = { ...timed, names }
        }
        fleet.close()
        return { ...figures, detail }
      }
    },
  }
}

/** @type {Group[]} */
export const groups = [
  {
    name: 'redis-scaling',
    startsProcesses: true,
    mostRounds: 3,
    sizes: { title: `processes, ${tasks} waiters each, ${work} ms body`, of: sizes },
    views: sizes.flatMap(
      /** @returns {View[]} */
      (size) => [
        {
          name: `redis-scaling/${size}/commands`,
          title: 'commands a hand-over',
          unit: 'commands',
          of: `${size}.commands`,
          targets: [],
        },
        {
          name: `redis-scaling/${size}/between`,
          title: 'ms a hand-over over the body',
          unit: 'ms',
          of: `${size}.between`,
          targets: [],
        },
        {
          name: `redis-scaling/${size}/longest`,
          title: 'longest wait, fair shares',
          unit: 'fair shares',
          of: `${size}.longest`,
          targets: [],
        },
      ]
    ),
    contenders: ['loquet'].map(contender),
  },
]
