import { figureOfChild } from '../harness/child.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

/**
 * @param {string} program - In `children/`
 * @param {string} name
 * @param {string} from - The package
 * @param {string} way - What the program calls it
 * @param {number} count
 * @returns {Contender}
 */
function contender(program, name, from, way, count) {
  return {
    name,
    package: from,
    open: async () => async () =>
      figureOfChild(program, [way, count], ['--max-old-space-size=12000']),
  }
}

const million = 1_000_000

/** @type {Group[]} */
export const groups = [
  {
    name: 'parked',
    title: 'a parked waiter, 1,000,000 on one key',
    unit: 'KB',
    startsProcesses: true,
    mostRounds: 5,
    plot: true,
    contenders: [
      contender('parked.mjs', 'loquet', 'loquet', 'loquet', million),
      contender('parked.mjs', 'loquet, one object', 'loquet', 'loquet-one', million),
      contender('parked.mjs', '@verrou/core, 100,000', '@verrou/core', '@verrou/core', 100_000),
      contender('parked.mjs', 'async-mutex', 'async-mutex', 'async-mutex', million),
      contender('parked.mjs', 'async-lock', 'async-lock', 'async-lock', million),
    ],
    targets: [{ atMost: 0.5 }],
  },
  {
    name: 'failed-tries',
    title: 'kept of a failed acquireImmediately(), 100,000 tries',
    unit: 'bytes',
    startsProcesses: true,
    mostRounds: 5,
    contenders: [
      contender('failed_tries.mjs', 'loquet', 'loquet', 'loquet', 100_000),
      contender('failed_tries.mjs', '@verrou/core', '@verrou/core', '@verrou/core', 100_000),
    ],
    // A page here or there is no leak: 16 bytes a try are 1.6 MB of a process's resident memory
    targets: [{ atMost: 16 }],
  },
]
