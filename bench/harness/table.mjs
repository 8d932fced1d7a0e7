/** @import { Result, Verdict } from './types.mjs' */

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
    `Node ${facts.node}, ${facts.date.slice(0, 10)}, commit ${facts.commit}, ` +
    `medians of ${facts.rounds} rounds; ${versions.join(', ')}`
  )
}

/**
 * A result as a Markdown table whose columns also line up in a terminal.
 *
 * @param {Result} result
 */
export function table({ name, title, unit, figures, verdicts }) {
  const head = ['', unit, 'lowest – highest', 'times loquet', 'lowest – highest']
  const rows = figures.map(({ name: contender, values, median, ratio }) => [
    contender,
    digits(median),
    `${digits(Math.min(...values))} – ${digits(Math.max(...values))}`,
    ratio ? digits(ratio.median) : '',
    ratio ? `${digits(ratio.low)} – ${digits(ratio.high)}` : '',
  ])
  const widths = head.map((cell, column) =>
    Math.max(3, cell.length, ...rows.map((row) => row[column].length))
  )
  /** @param {string[]} cells */
  const line = (cells) =>
    `| ${cells.map((cell, column) => (column ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width))).join(' | ')} |`
  return [
    `**${title}** (\`${name}\`)`,
    '',
    line(head),
    rule,
    ...rows.map(line),
    ...(verdicts.length > 0 ? ['', ...verdicts.map(sentence)] : []),
  ].join('\n')
}

/**
 * @param {Verdict} verdict
 */
function sentence({ text, value, met, tolerated }) {
  const outcome = met ? (tolerated ? 'met within tolerance' : 'met') : 'MISSED'
  return `- target ${text}: ${digits(value)}, ${outcome}`
}
