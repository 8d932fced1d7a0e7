import * as Plot from '@observablehq/plot'
import { max, min } from 'd3-array'
import { parseHTML } from 'linkedom'
import { digits } from './table.mjs'

/** @import { Result } from './types.mjs' */

/**
 * A bar: the ratio of one peer in one group.
 *
 * @typedef {object} Peer
 * @property {string} row
 * @property {string} group
 * @property {string} peer
 * @property {number} [target]
 * @property {number} median
 * @property {number} low
 * @property {number} high
 */

const ink = '#1f2328'
const pale = '#59636e'
const more = '#0072b2'
const less = '#d55e00'
const rowHeight = 19
const labelWidth = 200
const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000]

/**
 * One chart of all groups with a place in it: how many times loquet's figure each peer needs, on a
 * logarithmic axis. A bar ends at the median, a line goes from the lowest round to the highest.
 *
 * @param {Result[]} results
 * @param {{ cpu: string, cores: number, node: string, date: string, rounds: number }} machine
 * @param {string} caption
 * @returns {string} An SVG document
 */
export function draw(results, machine, caption) {
  /** @type {{ row: string, text: string }[]} */
  const headings = []
  /** @type {Peer[]} */
  const peers = []
  for (const { name, title, unit, node, plot, figures } of results) {
    const compared = figures.filter((one) => one.ratio && one.package !== 'loquet')
    if (!plot || compared.length === 0) {
      continue
    }
    const own = figures.find((one) => one.name === 'loquet')
    const block = node ? `${name}, ${node}` : name
    headings.push({
      row: block,
      text: `${node ? `${node}: ` : ''}${title} · loquet ${digits(own?.median ?? Number.NaN)} ${unit}`,
    })
    for (const { name: peer, ratio, target } of compared) {
      if (ratio) {
        peers.push({ row: `${block} ${peer}`, group: block, peer, target, ...ratio })
      }
    }
  }
  const rows = headings.flatMap(({ row }) => [
    row,
    ...peers.filter(({ group }) => group === row).map((one) => one.row),
  ])
  const lowest = Math.min(0.5, min(peers, (/** @type {Peer} */ one) => one.low) ?? 1)
  const highest = Math.max(10, (max(peers, (/** @type {Peer} */ one) => one.high) ?? 1) * 1.6)
  const ticks = steps.filter((step) => step >= lowest && step <= highest)

  const { document } = parseHTML('<html><body></body></html>')
  const chart = Plot.plot({
    // A document is all that Plot needs to draw without a browser
    document: /** @type {Document} */ (/** @type {unknown} */ (document)),
    width: 860,
    height: rows.length * rowHeight + 96,
    marginLeft: labelWidth,
    marginRight: 24,
    marginTop: 54,
    marginBottom: 42,
    style: {
      fontFamily: 'system-ui, sans-serif',
      fontSize: '12px',
      color: ink,
      background: 'white',
    },
    x: {
      type: 'log',
      domain: [lowest, highest],
      axis: null,
    },
    y: { type: 'band', domain: rows, axis: null, padding: 0.3 },
    marks: [
      Plot.gridX(ticks),
      Plot.axisX(ticks, {
        text: (step) => `${step}×`,
        label: 'times what loquet needs, logarithmic (right of the line: loquet needs less)',
        labelAnchor: 'center',
        labelArrow: 'none',
      }),
      Plot.barX(peers, {
        x1: 1,
        x2: 'median',
        y: 'row',
        fill: (one) => (one.median >= 1 ? more : less),
      }),
      Plot.ruleX([1], { stroke: ink }),
      Plot.ruleY(peers, { x1: 'low', x2: 'high', y: 'row', stroke: ink, strokeOpacity: 0.55 }),
      Plot.tickX(
        peers.filter(({ target }) => target !== undefined),
        { x: 'target', y: 'row', stroke: ink, strokeWidth: 2, strokeDasharray: '2,2' }
      ),
      Plot.text(peers, {
        x: (one) => Math.max(one.high, one.target ?? 0, 1),
        y: 'row',
        text: (one) => `${digits(one.median)}×`,
        textAnchor: 'start',
        dx: 6,
        fill: ink,
      }),
      Plot.text(peers, {
        y: 'row',
        text: 'peer',
        frameAnchor: 'left',
        textAnchor: 'end',
        dx: -10,
        fill: ink,
      }),
      Plot.text(headings, {
        y: 'row',
        text: 'text',
        frameAnchor: 'left',
        textAnchor: 'start',
        dx: 12 - labelWidth,
        fontWeight: 600,
        fill: ink,
        stroke: 'white',
        strokeWidth: 5,
      }),
      Plot.text([caption], {
        frameAnchor: 'top-left',
        dx: 12 - labelWidth,
        dy: -44,
        fontSize: 15,
        fontWeight: 600,
        fill: ink,
      }),
      Plot.text(
        [
          `Medians of ${machine.rounds} rounds, lowest to highest as a line; dashed: the target. ` +
            `${machine.cpu}, ${machine.cores} cores, ${machine.node}, ${machine.date.slice(0, 10)}`,
        ],
        { frameAnchor: 'top-left', dx: 12 - labelWidth, dy: -24, fill: pale }
      ),
    ],
  })
  chart.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return `${chart.outerHTML}\n`
}
