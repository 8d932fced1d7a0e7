import { median } from 'd3-array'
import { timeOfChild } from '../harness/child.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

const pairs = 5

/**
 * Milliseconds that a process lives longer than one that does nothing: the median of a few pairs of
 * processes, one of each kind in turn.
 *
 * @param {string} program - In `children/`
 * @param {string[]} args
 */
async function overBareNode(program, args) {
  const differences = []
  for (let pair = 0; pair < pairs; pair++) {
    const bare = timeOfChild('import.mjs', [])
    differences.push(timeOfChild(program, args) - bare)
  }
  return median(differences) ?? Number.NaN
}

/**
 * @param {string} name
 * @param {string} from
 * @param {string} program
 * @param {string[]} args
 * @returns {Contender}
 */
function contender(name, from, program, args) {
  return { name, package: from, open: async () => () => overBareNode(program, args) }
}

/** @type {Group[]} */
export const groups = [
  {
    name: 'import',
    title: 'import, over bare Node',
    unit: 'ms',
    startsProcesses: true,
    plot: true,
    contenders: [
      contender('loquet', 'loquet', 'import.mjs', ['loquet']),
      contender('@verrou/core', '@verrou/core', 'import.mjs', ['@verrou/core']),
      contender('@verrou/core and ioredis', '@verrou/core', 'import.mjs', [
        '@verrou/core',
        'ioredis',
      ]),
    ],
    targets: [{ against: '@verrou/core and ioredis', atLeast: 2 }],
  },
  {
    name: 'first-lock',
    title: 'import and a first createLock().run() in memory, over bare Node',
    unit: 'ms',
    startsProcesses: true,
    contenders: [
      contender('loquet', 'loquet', 'first_lock.mjs', ['loquet']),
      contender('@verrou/core', '@verrou/core', 'first_lock.mjs', ['@verrou/core']),
    ],
    targets: [],
  },
]
