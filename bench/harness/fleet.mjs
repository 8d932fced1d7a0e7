import { openChild } from './child.mjs'

/** @import { Order, Report } from './member.mjs' */

/**
 * What the processes went through together.
 *
 * @typedef {object} Burst
 * @property {number} turns
 * @property {number} turn - Milliseconds: from the start until the last body has ended, by the turns
 * @property {number} between - Milliseconds from the end of a body to the beginning of the next
 * @property {number} longest - Milliseconds of the longest wait
 * @property {number} fairShare - Milliseconds: the time that all others need for one turn each, at
 *   the mean time of a turn in this burst
 */

/**
 * Processes that lock one key against each other. They are started and warm before the first burst.
 *
 * @param {string} program - Of `children/`: what each of them runs
 * @param {string[]} args - For the program
 * @param {number} size
 * @param {string} node - The path of the Node.js to start
 */
export async function openFleet(program, args, size, node) {
  const members = await Promise.all(
    Array.from({ length: size }, () => openChild(program, args, node))
  )

  return {
    /**
     * @param {Omit<Order, 'at'> & { members: number }} order
     * @returns {Promise<Burst>}
     */
    run: async ({ members: count, ...order }) => {
      // Late enough for all of them to have heard of it
      const at = now() + 100
      const reports = await Promise.all(
        members.slice(0, count).map((member) => member.ask({ ...order, at }))
      )
      return digest(/** @type {Report[]} */ (reports), at, count * order.tasks)
    },
    close: () => {
      for (const member of members) {
        member.close()
      }
    },
  }
}

/** Milliseconds of a clock that all processes of the machine share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

/**
 * @param {Report[]} reports
 * @param {number} at
 * @param {number} contenders - Tasks of all processes
 * @returns {Burst}
 */
function digest(reports, at, contenders) {
  const bodies = reports.flatMap(({ bodies }) => bodies).sort(([a], [b]) => a - b)
  let work = 0
  let last = Number.NEGATIVE_INFINITY
  for (const [start, end] of bodies) {
    // A figure of locks that don't exclude would be worth nothing
    if (start < last) {
      throw new Error(`Two bodies ran at the same time, for ${last - start} ms`)
    }
    work += end - start
    last = end
  }
  const turns = bodies.length
  const turn = (last - at) / turns
  return {
    turns,
    turn,
    between: (last - at - work) / turns,
    longest: Math.max(...reports.map(({ longest }) => longest)),
    fairShare: turn * (contenders - 1),
  }
}
