import { median } from 'd3-array'
import { openFleet } from '../harness/fleet.mjs'
import { lockers } from '../harness/redis_contenders.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

const size = 8
const work = 2

/**
 * @typedef {object} Way
 * @property {string} name
 * @property {string} who
 * @property {number} tasks - Of each process
 * @property {number} turns - Of each task, one after another. A wait can be no longer than all turns:
 *   as many fair shares as there are turns
 * @property {Record<string, number>} bursts - Of each contender in one measurement
 */

/** @type {Way} */
const oneEach = {
  name: 'redis-fleet/one-each',
  who: `${size} processes`,
  tasks: 1,
  turns: 10,
  bursts: { 'loquet': 5, '@verrou/core': 1, 'redlock': 2, 'redis-semaphore': 5 },
}

/** @type {Way} */
const tenEach = {
  name: 'redis-fleet/ten-each',
  who: `${size} processes with 10 tasks each`,
  tasks: 10,
  turns: 5,
  bursts: { 'loquet': 1, '@verrou/core': 1, 'redlock': 1, 'redis-semaphore': 1 },
}

/**
 * @param {string} name
 * @param {Way} way
 * @returns {Contender}
 */
function contender(name, { tasks, turns, bursts }) {
  // Verrou takes most of a minute for all of it
  const slow = name === '@verrou/core' && tasks > 1
  return {
    name,
    package: name,
    mostRounds: slow ? 1 : undefined,
    open: async ({ node }) => {
      return async () => {
        const fleet = await openFleet('redis_member.mjs', [name], size, node)
        const all = []
        for (let burst = 0; burst < bursts[name]; burst++) {
          const key = `orders.${burst}`
          all.push(await fleet.run({ key, members: size, tasks, turns: slow ? 2 : turns, work }))
        }
        fleet.close()
        return {
          turn: median(all, ({ turn }) => turn),
          longest: slow ? undefined : median(all, ({ longest, fairShare }) => longest / fairShare),
          detail: all,
        }
      }
    },
  }
}

/**
 * @param {Way} way
 * @param {import('../harness/types.mjs').Target[]} targets - For the time of a turn
 * @returns {Group}
 */
function group(way, targets) {
  const { name, who } = way
  return {
    name,
    startsProcesses: true,
    views: [
      {
        name,
        title: `a turn of ${who} on one key, ${work} ms body`,
        unit: 'ms',
        of: 'turn',
        plot: true,
        targets,
      },
      {
        name: `${name}/longest`,
        title: `the longest wait of ${who}`,
        unit: 'fair shares',
        of: 'longest',
        targets: [{ atMost: 3 }],
      },
    ],
    contenders: lockers.map((locker) => contender(locker, way)),
  }
}

/** @type {Group[]} */
export const groups = [
  group(oneEach, [{ against: '@verrou/core', atMostShare: 1 / 6 }]),
  group(tenEach, []),
]
