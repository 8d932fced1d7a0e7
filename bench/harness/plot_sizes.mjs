import * as Plot from '@observablehq/plot'
import { max, min } from 'd3-array'
import { parseHTML } from 'linkedom'

/** @import { Measurement } from './types.mjs' */

const ink = '#1f2328'
const pale = '#59636e'
const colours = ['#0072b2', '#d55e00', '#009e73']
const panelWidth = 300
const panelHeight = 240
const top = 70

/**
 * What a figure comes to at each size: a panel for each column, a line for each Node.js from median to
 * median, and a rule from the lowest round to the highest.
 *
 * @param {Measurement} measurement - With sizes
 * @param {{ cpu: string, cores: number, node: string, date: string }} machine
 * @param {string} caption
 * @returns {string} An SVG document
 */
export function drawSizes({ results, sizes }, machine, caption) {
  const columns = [...new Set(results.map(({ title }) => title))]
  const nodes = [...new Set(results.map(({ node }) => node ?? ''))]
  const panels = columns.map((column) => {
    const points = results
      .filter(({ title, figures }) => title === column && figures.length > 0)
      .map(({ name, node, figures: [{ values, median }] }) => ({
        size: Number(name.split('/')[1]),
        node: node ?? '',
        median,
        low: min(values) ?? median,
        high: max(values) ?? median,
      }))
    return panel(column, points, sizes?.of ?? [], nodes)
  })
  const width = panelWidth * columns.length
  const height = top + panelHeight + 26
  const legend = nodes
    .map((node, index) => {
      const x = 12 + index * 80
      return (
        `<rect x="${x}" y="54" width="10" height="10" fill="${colours[index]}"/>` +
        `<text x="${x + 15}" y="63" fill="${ink}">${node}</text>`
      )
    })
    .join('')
  const machineLine = `${machine.cpu}, ${machine.cores} cores, ${machine.node}, ${machine.date.slice(0, 10)}`
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">` +
    `<rect width="${width}" height="${height}" fill="white"/>` +
    `<text x="12" y="22" font-size="15" font-weight="600" fill="${ink}">${caption}</text>` +
    `<text x="12" y="41" fill="${pale}">Medians, lowest to highest round as a line. ${machineLine}</text>` +
    legend +
    panels.map((one, index) => place(one, index * panelWidth, top)).join('') +
    `<text x="${width / 2}" y="${height - 10}" text-anchor="middle" fill="${ink}">${sizes?.title ?? ''}</text>` +
    '</svg>\n'
  )
}

/**
 * @param {string} label
 * @param {{ size: number, node: string, median: number, low: number, high: number }[]} points
 * @param {number[]} sizes
 * @param {string[]} nodes
 */
function panel(label, points, sizes, nodes) {
  const { document } = parseHTML('<html><body></body></html>')
  return Plot.plot({
    document: /** @type {Document} */ (/** @type {unknown} */ (document)),
    width: panelWidth,
    height: panelHeight,
    marginLeft: 40,
    marginTop: 30,
    style: { fontFamily: 'system-ui, sans-serif', fontSize: '12px', color: ink },
    x: { type: 'log', base: 2, domain: [min(sizes) ?? 1, max(sizes) ?? 1], label: null },
    y: { zero: true, grid: true, nice: true, label },
    color: { domain: nodes, range: colours.slice(0, nodes.length) },
    marks: [
      Plot.axisX(sizes, { label: null, tickFormat: String }),
      Plot.ruleX(points, { x: 'size', y1: 'low', y2: 'high', stroke: 'node', strokeOpacity: 0.5 }),
      Plot.line(points, { x: 'size', y: 'median', stroke: 'node', sort: 'size' }),
      Plot.dot(points, { x: 'size', y: 'median', fill: 'node', r: 3 }),
    ],
  })
}

/**
 * @param {Element} chart
 * @param {number} x
 * @param {number} y
 */
function place(chart, x, y) {
  chart.setAttribute('x', String(x))
  chart.setAttribute('y', String(y))
  return chart.outerHTML
}
