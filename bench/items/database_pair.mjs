import { lockers, openLocker } from '../harness/database_contenders.mjs'
import { kinds } from '../harness/database_servers.mjs'
import { pgbench } from '../harness/pgbench.mjs'

/** @import { Contender, Group, Target } from '../harness/types.mjs' */
/** @import { Kind, Locking } from '../harness/database_servers.mjs' */

/** How long a slice takes, in milliseconds. */
const slice = 300

/**
 * @typedef {object} Way
 * @property {string} name
 * @property {string} title
 * @property {number} tasks
 * @property {Record<Kind, Target>} targets
 * @property {Contender[]} floors - On Postgres
 */

/** @type {Way} */
const oneByOne = {
  name: 'one-by-one',
  title: 'a pair, one after another',
  tasks: 1,
  targets: {
    'postgres': { against: '@verrou/core', atMostShare: 0.65 },
    'mysql': { against: '@verrou/core', atMostShare: 0.75 },
    'sqlite-wal': { against: '@verrou/core', atMostShare: 0.7 },
    'sqlite-journal': { against: '@verrou/core', atMostShare: 1 },
  },
  floors: [
    pgbench({ clients: 1, transactions: 300 }),
    pgbench({ clients: 1, rows: 50, transactions: 100 }),
  ],
}

/** @type {Way} */
const inFlight = {
  name: 'in-flight',
  title: 'a pair, 50 in flight',
  tasks: 50,
  targets: {
    'postgres': { against: '@verrou/core', atLeast: 8 },
    'mysql': { against: '@verrou/core', atLeast: 5 },
    'sqlite-wal': { against: '@verrou/core', atLeast: 4 },
    'sqlite-journal': { against: '@verrou/core', atLeast: 15 },
  },
  floors: [
    pgbench({ clients: 50, transactions: 30 }),
    pgbench({ clients: 1, rows: 50, transactions: 100 }),
    pgbench({ clients: 4, rows: 50, transactions: 50 }),
  ],
}

/**
 * @param {Kind} kind
 * @param {Locking} name
 * @param {number} tasks
 * @returns {Contender}
 */
function contender(kind, name, tasks) {
  return {
    name,
    package: name,
    open: async () => {
      const locker = await openLocker(kind, name)
      /** @param {number} duration - Milliseconds */
      const load = async (duration) => {
        const start = performance.now()
        let pairs = 0
        await Promise.all(
          Array.from({ length: tasks }, async (_, index) => {
            while (performance.now() - start < duration) {
              // Ten keys one after another, or one for each task
              await locker.pair(`orders.${tasks === 1 ? pairs % 10 : index}`)
              pairs++
            }
          })
        )
        return { time: ((performance.now() - start) * 1_000) / pairs }
      }
      await load(4 * slice)
      return () => load(slice)
    },
  }
}

/** @type {Group[]} */
export const groups = [oneByOne, inFlight].flatMap(({ name, title, tasks, targets, floors }) =>
  kinds.map((kind) => ({
    name: `database-pair/${name}/${kind}`,
    title: `${kind}: ${title}`,
    unit: 'µs',
    of: 'time',
    plot: true,
    rate: { unit: 'pairs/s', each: 1e6 },
    slices: 8,
    targets: [targets[kind]],
    contenders: [
      ...lockers.map((locker) => contender(kind, locker, tasks)),
      ...(kind === 'postgres' ? floors : []),
    ],
  }))
)
