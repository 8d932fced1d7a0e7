import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { useBefore } from './harness/before.mjs'
import { measuredByChild } from './harness/child.mjs'
import { linkLoquet } from './harness/link.mjs'
import { machineFacts } from './harness/machine.mjs'
import { measureGroup } from './harness/rounds.mjs'
import { sets } from './harness/sets.mjs'
import { factsLine, tables } from './harness/table.mjs'

/** @import { Group, Measurement, Result } from './harness/types.mjs' */

const names = Object.keys(sets)
const usage = `node run.mjs [${names.join('] [')}] [options]

Without a name all of them run, one after the other.

  --rounds <n>             rounds of each contender, at least 5 for a figure to quote (default: 7 of
                           memory, 5 of redis and database)
  --only <names>           items or cases to run: pair, pair/constant, redis-queue, ...
  --contenders <packages>  packages to measure: loquet, @verrou/core, async-mutex, redlock, ...
  --out <folder>           where <name>.json, <name>.md and <name>.svg go (default results; nothing
                           is written if --only or --contenders is given without it)
  --before <folder>        another checkout of loquet that has been built, to be measured beside this
                           one (items: before, redis-before)
  --check                  exit with 1 if a target is missed
  --tolerance <share>      by how much a ratio may miss its target under --check (default 0.1)
  --list                   print the names of the items and end
`

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    only: { type: 'string' },
    contenders: { type: 'string' },
    out: { type: 'string' },
    before: { type: 'string' },
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

const unknown = positionals.find((name) => !names.includes(name))
if (unknown !== undefined) {
  refuse(`There is no "${unknown}"`)
}
const ownRounds = options.rounds === undefined ? undefined : Number(options.rounds)
if (ownRounds !== undefined && !(Number.isInteger(ownRounds) && ownRounds > 0)) {
  refuse(`--rounds has to be a positive integer, not "${options.rounds}"`)
}
const tolerance = Number(options.tolerance)
if (!(tolerance >= 0 && tolerance < 1)) {
  refuse(`--tolerance has to be a share from 0 to less than 1, not "${options.tolerance}"`)
}
if (options.before !== undefined && !useBefore(options.before)) {
  refuse(
    `There is no build of loquet in "${options.before}": run \`npm ci && npm run build\` there`
  )
}
const only = options.only?.split(',')
const packages = options.contenders ? new Set(options.contenders.split(',')) : undefined

/** @type {Map<string, { item: string, group: Group }[]>} */
const chosen = new Map()
for (const name of positionals.length > 0 ? positionals : names) {
  const found = []
  for (const item of sets[name].items) {
    /** @type {{ groups: Group[] }} */
    const { groups } = await import(`./items/${item}.mjs`)
    found.push(...groups.map((group) => ({ item, group })).filter(({ group }) => isChosen(group)))
  }
  if (found.length > 0) {
    chosen.set(name, found)
  }
}
if (chosen.size === 0) {
  refuse(`--only names nothing: "${options.only}"`)
}
if (options.list) {
  console.log([...chosen.values()].flatMap((all) => all.map(({ group }) => group.name)).join('\n'))
  process.exit()
}

/** @param {Group} group */
function isChosen({ name }) {
  return !only || only.some((one) => name === one || name.startsWith(`${one}/`))
}

if (!linkLoquet() && (!packages || packages.has('loquet'))) {
  refuse('There is no build of loquet: run `npm run build` in the folder above')
}

/** @type {string[]} */
const missed = []
for (const [name, groups] of chosen) {
  missed.push(...(await runSet(name, groups)))
}
if (options.check && missed.length > 0) {
  console.error(`Missed:\n${missed.join('\n')}`)
  process.exit(1)
}

/**
 * @param {string} name
 * @param {{ item: string, group: Group }[]} groups
 * @returns {Promise<string[]>} What was missed
 */
async function runSet(name, groups) {
  const set = sets[name]
  const missing = set.missing?.()
  if (missing) {
    const message = `${name}: not measured, ${missing}`
    console.error(`${message}\n`)
    return [message]
  }

  const rounds = ownRounds ?? set.rounds
  const places = set.places()
  const running = await set.start?.()
  const withoutLoquet = reasonAgainstLoquet(name)
  try {
    const facts = machineFacts(
      places.map(({ version }) => version ?? process.version),
      set.packages
    )
    const machine = { ...facts, versions: { ...facts.versions, ...running?.versions }, rounds }
    console.log(`${factsLine(machine)}\n`)
    if (withoutLoquet) {
      console.error(`${withoutLoquet}\n`)
    }

    /** @type {Measurement[]} */
    const measurements = []
    for (const { item, group } of groups) {
      const measurement = await measureGroup(group, {
        item,
        rounds,
        tolerance,
        places,
        takesPart: (contender) =>
          (!packages || packages.has(contender.package)) &&
          !(withoutLoquet && contender.package === 'loquet'),
        before: running?.before,
      })
      measurements.push(measurement)
      console.log(`${tables(measurement)}\n`)
    }

    if (!(only || packages) || options.out) {
      await write(name, set.caption, measurements, machine)
    }
    return [
      ...(withoutLoquet ? [withoutLoquet] : []),
      ...measurements.flatMap(({ results }) => results.flatMap(missedTargets)),
    ]
  } finally {
    await running?.stop()
  }
}

/**
 * A set that loquet can't run in yet is still worth running for the peers.
 *
 * @param {string} name
 */
function reasonAgainstLoquet(name) {
  if (name !== 'redis' || (packages && !packages.has('loquet'))) {
    return undefined
  }
  try {
    measuredByChild('redis_first_pair.mjs', ['loquet'])
    return undefined
  } catch {
    return `${name}: loquet is missing, its first lock failed (see above)`
  }
}

/**
 * @param {string} name
 * @param {string} caption
 * @param {Measurement[]} measurements
 * @param {ReturnType<typeof machineFacts> & { rounds: number }} facts
 */
async function write(name, caption, measurements, facts) {
  const folder = resolve(options.out ?? fileURLToPath(new URL('./results', import.meta.url)))
  // Loaded last: the drawing library is no small part of a heap
  const { draw } = await import('./harness/plot.mjs')
  const machine = { ...facts, loadAtEnd: Number(loadavg()[0].toFixed(2)) }
  const results = measurements.flatMap((measurement) => measurement.results)
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}/${name}.json`, `${JSON.stringify({ machine, results }, null, 2)}\n`)
  writeFileSync(
    `${folder}/${name}.md`,
    `${[factsLine(machine), ...measurements.map(tables)].join('\n\n')}\n`
  )
  writeFileSync(`${folder}/${name}.svg`, draw(results, machine, caption))
  for (const measurement of measurements.filter(({ sizes }) => sizes)) {
    const { drawSizes } = await import('./harness/plot_sizes.mjs')
    const item = measurement.results[0].name.split('/')[0]
    const title = `loquet: ${measurement.sizes?.title}`
    writeFileSync(`${folder}/${item}.svg`, drawSizes(measurement, machine, title))
  }
  console.log(`Written: ${name}.json, ${name}.md and ${name}.svg in ${folder}\n`)
}

/** @param {Result} result */
function missedTargets({ name, node, verdicts }) {
  return verdicts
    .filter(({ met }) => !met)
    .map(({ text, value }) => `${node ? `${node}: ` : ''}${name}: ${text}, is ${value.toFixed(3)}`)
}
