import { measuredByChild } from '../harness/child.mjs'
import { keepers } from '../harness/redis_keepers.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

const locks = 10_000
const ttl = 10_000
const seconds = 10

/**
 * @param {string} name
 * @returns {Contender}
 */
function contender(name) {
  return {
    name,
    package: name,
    open: async ({ node }) => {
      return async () => measuredByChild('redis_kept.mjs', [name, locks, ttl, seconds], { node })
    },
  }
}

/** @type {Group[]} */
export const groups = [
  {
    name: 'redis-keeping',
    startsProcesses: true,
    warmUps: 0,
    views: [
      {
        name: 'redis-keeping/commands',
        title: `${locks} locks of ${ttl / 1000} s that are extended: commands a second`,
        unit: 'commands/s',
        of: 'commands',
        targets: [{ atMost: 40 }],
      },
      {
        name: 'redis-keeping/main-thread',
        title: `${locks} locks of ${ttl / 1000} s that are extended: share of the main thread`,
        unit: '%',
        of: 'mainThread',
        targets: [{ atMost: 2 }],
      },
    ],
    contenders: keepers.map(contender),
  },
]
