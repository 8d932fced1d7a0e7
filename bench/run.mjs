import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { linkLoquet } from './harness/link.mjs'
import { machineFacts } from './harness/machine.mjs'
import { measureGroup } from './harness/rounds.mjs'
import { factsLine, table } from './harness/table.mjs'

/** @import { Group, Result } from './harness/types.mjs' */

const usage = `node run.mjs [options]

  --rounds <n>             rounds of each contender (default 7, at least 5 for a figure to quote)
  --only <names>           items or cases to run: pair, pair/constant, hand-over, parked, ...
  --contenders <packages>  packages to measure: loquet, @verrou/core, async-mutex, async-lock
  --out <folder>           where memory.json, memory.md and memory.svg go (default results; nothing
                           is written if --only or --contenders is given without it)
  --check                  exit with 1 if a target is missed
  --tolerance <share>      by how much a ratio may miss its target under --check (default 0.1)
  --list                   print the names and end
`

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    only: { type: 'string' },
    contenders: { type: 'string' },
    out: { type: 'string' },
    check: { type: 'boolean', default: false },
    tolerance: { type: 'string', default: '0.1' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

/**
 * @param {string} message
 * @returns {never}
 */
function refuse(message) {
  console.error(`${message}\n\n${usage}`)
  process.exit(2)
}

if (options.help) {
  console.log(usage)
  process.exit()
}

const items = ['pair', 'hand_over', 'expiry', 'memory', 'import_cost']
/** @type {{ item: string, group: Group }[]} */
const all = []
for (const item of items) {
  /** @type {{ groups: Group[] }} */
  const { groups } = await import(`./items/${item}.mjs`)
  all.push(...groups.map((group) => ({ item, group })))
}
if (options.list) {
  console.log(all.map(({ group }) => group.name).join('\n'))
  process.exit()
}

const rounds = Number(options.rounds)
if (!Number.isInteger(rounds) || rounds < 1) {
  refuse(`--rounds has to be a positive integer, not "${options.rounds}"`)
}
const tolerance = Number(options.tolerance)
if (!(tolerance >= 0 && tolerance < 1)) {
  refuse(`--tolerance has to be a share from 0 to less than 1, not "${options.tolerance}"`)
}
const only = options.only?.split(',')
const chosen = all.filter(
  ({ group: { name } }) => !only || only.some((one) => name === one || name.startsWith(`${one}/`))
)
if (chosen.length === 0) {
  refuse(`--only names nothing: "${options.only}"`)
}
const packages = options.contenders ? new Set(options.contenders.split(',')) : null

if (!linkLoquet() && (!packages || packages.has('loquet'))) {
  refuse('There is no build of loquet: run `npm run build` in the folder above')
}

const facts = { ...machineFacts(), rounds }
/** @type {Result[]} */
const results = []
console.log(`${factsLine(facts)}\n`)
for (const { item, group } of chosen) {
  const result = await measureGroup(group, { item, rounds, packages, tolerance })
  results.push(result)
  console.log(`${table(result)}\n`)
}

const partial = Boolean(only || packages)
if (!partial || options.out) {
  const folder = resolve(options.out ?? fileURLToPath(new URL('./results', import.meta.url)))
  // Loaded last: the drawing library is no small part of a heap
  const { draw } = await import('./harness/plot.mjs')
  const machine = { ...facts, loadAtEnd: Number(loadavg()[0].toFixed(2)) }
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}/memory.json`, `${JSON.stringify({ machine, results }, null, 2)}\n`)
  writeFileSync(
    `${folder}/memory.md`,
    `${[factsLine(machine), ...results.map(table)].join('\n\n')}\n`
  )
  writeFileSync(`${folder}/memory.svg`, draw(results, machine))
  console.log(`Written: memory.json, memory.md and memory.svg in ${folder}`)
}

if (options.check) {
  const missed = results.flatMap(({ name, verdicts }) =>
    verdicts.filter(({ met }) => !met).map(({ text }) => `${name}: ${text}`)
  )
  if (missed.length > 0) {
    console.error(`Missed:\n${missed.join('\n')}`)
    process.exit(1)
  }
}
