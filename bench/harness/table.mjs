import { group } from 'd3-array'

/** @import { Figure, Measurement, Result, Verdict } from './types.mjs' */

/**
 * Three significant digits, without exponents.
 *
 * @param {number} value
 */
export function digits(value) {
  if (!Number.isFinite(value)) {
    return '–'
  }
  const size = Math.abs(value)
  if (size >= 100) {
    return Math.round(value).toLocaleString('en')
  }
  return value.toFixed(size >= 10 ? 1 : 2)
}

/**
 * @param {{ cpu: string, cores: number, memoryGB: number, system: string, node: string, date: string,
 *   commit: string, rounds: number, versions: Record<string, string> }} facts
 */
export function factsLine(facts) {
  const versions = Object.entries(facts.versions).map((entry) => entry.join(' '))
  return (
    `${facts.cpu}, ${facts.cores} cores, ${facts.memoryGB} GB, ${facts.system}, ` +
    `${facts.node}, ${facts.date.slice(0, 10)}, commit ${facts.commit}, ` +
    `medians of ${facts.rounds} rounds; ${versions.join(', ')}`
  )
}

/**
 * What a group came to as Markdown: a table for each of its views, with the Node.js that were measured
 * side by side, or one table with a row for each size.
 *
 * @param {Measurement} measurement
 */
export function tables({ results, sizes }) {
  if (sizes) {
    return tableOfSizes(results, sizes)
  }
  const views = group(results, ({ name }) => name)
  return [...views.values()].map(table).join('\n\n')
}

/**
 * @param {Result[]} results - Of one view
 */
function table(results) {
  const [{ name, title, unit, rate }] = results
  const there = results.filter(({ figures }) => figures.length > 0)
  const contenders = [...new Set(there.flatMap(({ figures }) => figures.map((one) => one.name)))]
  const head = there.flatMap(({ node }) => [
    node ? `${node}: ${unit}` : unit,
    'lowest – highest',
    'times loquet',
    'lowest – highest',
  ])
  const rows = contenders.map((contender) => [
    contender,
    ...there.flatMap(({ figures }) => cells(figures.find((one) => one.name === contender))),
  ])
  const notes = results.flatMap(({ node, lacking, figures, verdicts }) => {
    const place = node ? `${node}: ` : ''
    return [
      ...(lacking ? [`- ${place}no figures, ${lacking}`] : []),
      ...(rate && figures.length > 0 ? [`- ${place}${rates(figures, rate)}`] : []),
      ...verdicts.map((verdict) => `- ${place}${sentence(verdict)}`),
    ]
  })
  return [
    `**${title}** (\`${name}\`)`,
    ...(rows.length > 0 ? ['', ...align(['', ...head], rows)] : []),
    ...(notes.length > 0 ? ['', ...notes] : []),
  ].join('\n')
}

/**
 * @param {Figure} [figure]
 */
function cells(figure) {
  if (!figure) {
    return ['', '', '', '']
  }
  const { values, median, ratio } = figure
  return [
    digits(median),
    values.length > 1
      ? `${digits(Math.min(...values))} – ${digits(Math.max(...values))}`
      : 'one round',
    ratio ? digits(ratio.median) : '',
    ratio ? `${digits(ratio.low)} – ${digits(ratio.high)}` : '',
  ]
}

/**
 * @param {Figure[]} figures
 * @param {{ unit: string, each: number }} rate
 */
function rates(figures, { unit, each }) {
  const all = figures.map(({ name, median }) => `${name} ${digits(each / median)}`)
  return `in ${unit}: ${all.join(', ')}`
}

/**
 * @param {Result[]} results - Each is a cell, `name/size/column`
 * @param {{ title: string, of: number[] }} sizes
 */
function tableOfSizes(results, { title, of }) {
  const nodes = [...new Set(results.map(({ node }) => node))]
  const contenders = [...new Set(results.flatMap(({ figures }) => figures.map(({ name }) => name)))]
  return contenders
    .map((contender) => {
      const item = results[0].name.split('/')[0]
      const columns = [...new Set(results.map((one) => one.title))]
      const head = nodes.flatMap((node) =>
        columns.map((column) => (node ? `${node}: ${column}` : column))
      )
      const rows = of.map((size) => [
        String(size),
        ...nodes.flatMap((node) =>
          columns.map((column) => {
            const cell = results.find(
              (one) => one.node === node && one.title === column && one.name.includes(`/${size}/`)
            )
            const figure = cell?.figures.find(({ name }) => name === contender)
            const [value, range] = cells(figure)
            return figure ? `${value} (${range})` : ''
          })
        ),
      ])
      const lines = align([title, ...head], rows)
      return [`**${contender}, ${title}** (\`${item}\`)`, '', ...lines].join('\n')
    })
    .join('\n\n')
}

/**
 * A Markdown table whose columns also line up in a terminal.
 *
 * @param {string[]} head
 * @param {string[][]} rows
 */
function align(head, rows) {
  const widths = head.map((cell, column) =>
    Math.max(3, cell.length, ...rows.map((row) => row[column].length))
  )
  /** @param {string[]} cells */
  const line = (cells) =>
    `| ${cells.map((cell, column) => (column ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width))).join(' | ')} |`
  return [line(head), rule, ...rows.map(line)]
}

/**
 * @param {Verdict} verdict
 */
function sentence({ text, value, met, tolerated }) {
  const outcome = met ? (tolerated ? 'met within tolerance' : 'met') : 'MISSED'
  return `target ${text}: ${digits(value)}, ${outcome}`
}
