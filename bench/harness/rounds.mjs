import { max, median, min } from 'd3-array'
import { figureOfChild } from './child.mjs'

/** @import { Contender, Figure, Group, Result, Target, Verdict } from './types.mjs' */

/**
 * Measures the contenders of a group side by side: each takes one turn a round, and another one
 * begins each round, so that a slow minute of the machine or a place in the order favours nobody.
 * Every measurement has a fresh process that warms up first: in a common one the heap and the
 * compiled code that one contender leaves behind would be the next one's luck. A ratio is taken
 * within a round.
 *
 * @param {Group} group
 * @param {{ item: string, rounds: number, packages: Set<string> | null, tolerance: number }} options
 * @returns {Promise<Result>}
 */
export async function measureGroup(group, { item, rounds, packages, tolerance }) {
  /** @type {{ contender: Contender, values: number[] }[]} */
  const running = group.contenders
    .filter((one) => !packages || packages.has(one.package))
    .map((contender) => ({ contender, values: [] }))

  const last = Math.min(rounds, group.mostRounds ?? rounds)
  for (let round = 0; round < last; round++) {
    for (let place = 0; place < running.length; place++) {
      const { contender, values } = running[(round + place) % running.length]
      values.push(await measureOnce(item, group, contender))
    }
  }

  const figures = compare(running, group.targets)
  return {
    name: group.name,
    title: group.title,
    unit: group.unit,
    plot: group.plot ?? false,
    figures,
    verdicts: group.targets.flatMap((target) => judge(target, group, figures, tolerance)),
  }
}

/**
 * @param {string} item
 * @param {Group} group
 * @param {Contender} contender
 */
async function measureOnce(item, group, contender) {
  if (group.startsProcesses) {
    const measure = await contender.open()
    return measure()
  }
  return figureOfChild('measure.mjs', [item, group.name, contender.name])
}

/**
 * @param {{ contender: Contender, values: number[] }[]} running
 * @param {Target[]} targets
 * @returns {Figure[]}
 */
function compare(running, targets) {
  const own = running.find(({ contender }) => contender.name === 'loquet')?.values
  return running.map(({ contender, values }) => {
    /** @type {Figure} */
    const figure = {
      name: contender.name,
      package: contender.package,
      values,
      median: median(values) ?? Number.NaN,
      target: targets.find(({ against }) => against === contender.name)?.atLeast,
    }
    if (own && values !== own && own.every((value) => value > 0)) {
      const ratios = values.map((value, round) => value / own[round])
      figure.ratio = {
        median: median(ratios) ?? Number.NaN,
        low: min(ratios) ?? Number.NaN,
        high: max(ratios) ?? Number.NaN,
      }
    }
    return figure
  })
}

/**
 * @param {Target} target
 * @param {Group} group
 * @param {Figure[]} figures
 * @param {number} tolerance
 * @returns {Verdict[]} Empty if one of the contenders wasn't measured
 */
function judge(target, group, figures, tolerance) {
  if (target.atMost !== undefined) {
    const own = figures.find((figure) => figure.name === 'loquet')
    if (!own) {
      return []
    }
    return [
      {
        text: `at most ${target.atMost} ${group.unit}`,
        value: own.median,
        met: own.median <= target.atMost,
        tolerated: false,
      },
    ]
  }
  const peer = figures.find((figure) => figure.name === target.against)
  if (!peer?.ratio || target.atLeast === undefined) {
    return []
  }
  const value = peer.ratio.median
  return [
    {
      text: `${target.against} at least ${target.atLeast} times loquet`,
      value,
      met: value >= target.atLeast * (1 - tolerance),
      tolerated: value < target.atLeast,
    },
  ]
}
