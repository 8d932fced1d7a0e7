import { max, median, min } from 'd3-array'
import { measuredByChild, openChild } from './child.mjs'

/** @import { Contender, Figure, Group, Measured, Measurement, Result, Target, Verdict, View } from './types.mjs' */

/**
 * Where a round is measured. Without a label there is only one.
 *
 * @typedef {object} Place
 * @property {string} path - Of the Node.js
 * @property {string} [version]
 * @property {string} [label]
 */

/**
 * What one contender came to in one place.
 *
 * @typedef {object} Runner
 * @property {Contender} contender
 * @property {Place} place
 * @property {Measured[]} measured - One per round
 */

/**
 * Measures the contenders of a group side by side: each takes one turn a round, and another one
 * begins each round, so that a slow minute of the machine or a place in the order favours nobody.
 * Every measurement has a fresh process that warms up first: in a common one the heap and the
 * compiled code that one contender leaves behind would be the next one's luck. A ratio is taken
 * within a round.
 *
 * @param {Group} group
 * @param {object} options
 * @param {string} options.item
 * @param {number} options.rounds
 * @param {(contender: Contender) => boolean} options.takesPart
 * @param {number} options.tolerance
 * @param {Place[]} options.places
 * @param {() => Promise<unknown>} [options.before] - Each measurement
 * @returns {Promise<Measurement>}
 */
export async function measureGroup(group, options) {
  const { item, rounds, takesPart, tolerance, places, before } = options
  /** @type {Runner[]} */
  const runners = group.contenders
    .filter(takesPart)
    .flatMap((contender) => places.map((place) => ({ contender, place, measured: [] })))

  const last = Math.min(rounds, group.mostRounds ?? rounds)
  for (let round = 0; round < last; round++) {
    if (group.slices) {
      await before?.()
      await measureInSlices(item, group, inTurn(runners, round * places.length))
      continue
    }
    for (let turn = 0; turn < runners.length; turn++) {
      const { contender, place, measured } = inTurn(runners, round * places.length)[turn]
      if (round < (contender.mostRounds ?? last)) {
        await before?.()
        measured.push(await measureOnce(item, group, contender, place))
      }
    }
  }

  const views = 'views' in group ? group.views : [group]
  return {
    sizes: group.sizes,
    results: views.flatMap((view, index) =>
      places.map((place) => {
        const here = runners.filter((runner) => runner.place === place)
        const result = summarize(view, place, here, tolerance)
        return index === 0 ? withDetails(result, here) : result
      })
    ),
  }
}

/**
 * @template T
 * @param {T[]} all
 * @param {number} first - The place of the one that begins
 * @returns {T[]}
 */
function inTurn(all, first) {
  return all.map((_, index) => all[(first + index) % all.length])
}

/**
 * @param {string} item
 * @param {Group} group
 * @param {Contender} contender
 * @param {Place} place
 */
async function measureOnce(item, group, contender, { path }) {
  if (group.startsProcesses) {
    const measure = await contender.open({ node: path })
    return measure()
  }
  return measuredByChild('measure.mjs', [item, group.name, contender.name], { node: path })
}

/**
 * One round of all, a slice each in turn.
 *
 * @param {string} item
 * @param {Group} group
 * @param {Runner[]} runners
 */
async function measureInSlices(item, group, runners) {
  const children = []
  for (const { contender, place } of runners) {
    const args = [item, group.name, contender.name]
    children.push(await openChild('slices.mjs', args, place.path))
  }
  /** @type {Record<string, number>[][]} */
  const slices = runners.map(() => [])
  for (let slice = 0; slice < (group.slices ?? 0); slice++) {
    for (const [index, child] of children.entries()) {
      slices[index].push(/** @type {Record<string, number>} */ (await child.ask('measure')))
    }
  }
  for (const [index, { measured }] of runners.entries()) {
    const names = Object.keys(slices[index][0])
    measured.push(
      Object.fromEntries(
        names.map((name) => [name, median(slices[index].map((slice) => slice[name]))])
      )
    )
    children[index].close()
  }
}

/**
 * @param {View} view
 * @param {Place} place
 * @param {Runner[]} runners
 * @param {number} tolerance
 * @returns {Result}
 */
function summarize(view, place, runners, tolerance) {
  const figures = compare(view, runners)
  return {
    name: view.name,
    title: view.title,
    unit: view.unit,
    plot: view.plot ?? false,
    node: place.label,
    rate: view.rate,
    lacking: figures.length === 0 ? (view.lacking ?? 'nobody was measured') : undefined,
    figures,
    verdicts: view.targets.flatMap((target) => judge(target, view, figures, tolerance)),
  }
}

/**
 * @param {View} view
 * @param {Runner[]} runners
 * @returns {Figure[]} Of those who have this figure
 */
function compare(view, runners) {
  const all = runners
    .map(({ contender, measured }) => ({
      contender,
      values: measured.map((one) => figureOf(view, one)).filter((value) => value !== undefined),
    }))
    .filter(({ values }) => values.length > 0)
  const own = all.find(({ contender }) => contender.name === 'loquet')?.values
  return all.map(({ contender, values }) => {
    const target = view.targets.find(({ against }) => against === contender.name)
    /** @type {Figure} */
    const figure = {
      name: contender.name,
      package: contender.package,
      values,
      median: median(values) ?? Number.NaN,
      target: target?.atMostShare ? 1 / target.atMostShare : target?.atLeast,
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
 * @param {Result} result
 * @param {Runner[]} runners
 * @returns {Result} With what the measurements kept besides
 */
function withDetails(result, runners) {
  const figures = result.figures.map((figure) => {
    const measured = runners.find(({ contender }) => contender.name === figure.name)?.measured ?? []
    const details = measured.flatMap((one) => (typeof one === 'object' ? (one.detail ?? []) : []))
    return details.length > 0 ? { ...figure, details } : figure
  })
  return { ...result, figures }
}

/**
 * @param {View} view
 * @param {Measured} measured
 * @returns {number | undefined}
 */
function figureOf({ of }, measured) {
  const value = of !== undefined && typeof measured === 'object' ? measured[of] : measured
  return typeof value === 'number' ? value : undefined
}

/**
 * @param {Target} target
 * @param {View} view
 * @param {Figure[]} figures
 * @param {number} tolerance
 * @returns {Verdict[]} Empty if one of the contenders wasn't measured
 */
function judge({ against, atLeast, atMost, atMostShare }, view, figures, tolerance) {
  if (atMost !== undefined) {
    const own = figures.find((figure) => figure.name === 'loquet')
    if (!own) {
      return []
    }
    return [
      {
        text: `at most ${atMost} ${view.unit}`,
        value: own.median,
        met: own.median <= atMost,
        tolerated: false,
      },
    ]
  }
  const peer = figures.find((figure) => figure.name === against)
  if (!peer?.ratio) {
    return []
  }
  if (atMostShare !== undefined) {
    const value = 1 / peer.ratio.median
    return [
      {
        text: `loquet at most ${Number(atMostShare.toFixed(3))} of ${against}`,
        value,
        met: value <= atMostShare * (1 + tolerance),
        tolerated: value > atMostShare,
      },
    ]
  }
  if (atLeast === undefined) {
    return []
  }
  const value = peer.ratio.median
  return [
    {
      text: `${against} at least ${atLeast} times loquet`,
      value,
      met: value >= atLeast * (1 - tolerance),
      tolerated: value < atLeast,
    },
  ]
}
