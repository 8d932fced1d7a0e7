/**
 * Writes docs/rules.md: each rule of docs/guarantees.md against each store, with the tests that show it. What has been
 * tested is taken from tmp/tests, where a whole run of the Japa suites leaves it.
 *
 * Usage: node scripts/rules_table.mjs [--check]
 *   --check   write nothing; fail if the page isn't what it would be
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import prettier from 'prettier'

const root = fileURLToPath(new URL('..', import.meta.url))
const PAGE = `${root}docs/rules.md`

/** The suites that the table is made of. */
const SUITES = [
  ...['unit', 'stores', 'redis', 'database', 'dynamodb', 'docs'],
  ...['adonis', 'lifecycle', 'faults', 'types'],
]

/** The stores, and how their tests are known: by what a group or a file is called. The first that fits counts. */
const STORES = [
  { name: 'DynamoDB', fits: /dynamodb/i },
  { name: 'your own adapter', fits: /prisma|adapters of others/i },
  { name: 'Kysely', fits: /kysely/i },
  { name: 'knex, own client', fits: /knex|Database on the own connection/i },
  { name: 'Redis, own client', fits: /Redis on the own connection/ },
  { name: 'Redis', fits: /__test__\/redis|Redis/ },
  { name: 'Postgres', fits: /Postgres|PgBouncer/ },
  { name: 'MySQL, MariaDB', fits: /MariaDB|MySQL/ },
  { name: 'SQLite', fits: /SQLite/ },
  { name: 'memory, shared', fits: /shared memory store|threads\.spec/ },
  { name: 'your own store', fits: /custom|overridden|own store/i },
  { name: 'memory', fits: /memory/i },
]

/** The order of the columns. */
const COLUMNS = [
  ...['memory', 'memory, shared', 'Redis', 'Redis, own client', 'Postgres', 'MySQL, MariaDB'],
  ...['SQLite', 'knex, own client', 'Kysely', 'DynamoDB', 'your own adapter', 'your own store'],
]

const MEMORY = ['memory', 'memory, shared']
const CLIENTS = ['Redis, own client', 'knex, own client', 'Kysely', 'DynamoDB', 'your own adapter']
const FOREIGN = [...CLIENTS, 'your own store']

/** Why a rule says nothing about a store, or holds there without tests of its own. */
const REASONS = [
  [['C6'], MEMORY, 'there are no replies that could be lost'],
  [['C6'], ['SQLite'], 'a file: there are no replies that could be lost'],
  [['C21', 'C22'], MEMORY, 'there is nothing below that could fail'],
  [
    ['C6', 'C22'],
    ['your own store'],
    'up to the store: the engine passes its answers and errors on',
  ],
  [['C25'], CLIENTS, 'extended from the event loop, by the same code as your own store'],
  [['C21'], ['your own store'], 'errors pass through as they are (C21 says so)'],
  [
    ['C12', 'C15', 'C23'],
    FOREIGN,
    'nothing of it is native but the queue, which is that of every store',
  ],
]

const tests = SUITES.flatMap((suite) => {
  const path = `${root}tmp/tests/${suite}.json`
  if (!existsSync(path)) {
    console.error(
      `The suite "${suite}" has not been run whole: node --import tsx __test__/run.ts ${suite}`
    )
    process.exit(1)
  }
  return JSON.parse(readFileSync(path, 'utf8'))
})

/** The rules, by number, in their words. */
const rules = [
  ...readFileSync(`${root}docs/guarantees.md`, 'utf8').matchAll(
    /^- \*\*(C\d+)\*\* (.+(?:\n  .+)*)/gm
  ),
].map(([, number, words]) => ({ number, words: words.replaceAll(/\n\s+/g, ' ') }))

const rulesOf = ({ title }) =>
  (/^((?:C\d+(?:, )?)+)[:,]/.exec(title)?.[1] ?? '').match(/C\d+/g) ?? []

const storeOf = ({ file, group }) =>
  STORES.find(({ fits }) => fits.test(`${file} ${group}`))?.name ?? 'every store'

/** By rule and store: the titles of the tests, each with the files it stands in. */
const found = new Map()
for (const test of tests) {
  for (const number of rulesOf(test)) {
    const key = `${number} ${storeOf(test)}`
    const titles = found.get(key) ?? new Map()
    const title = test.title.replace(/^[C\d, ]+[:,] /, '').replaceAll('|', '\\|')
    titles.set(title, (titles.get(title) ?? new Set()).add(test.file))
    found.set(key, titles)
  }
}

const titlesOf = (number, store) => [...(found.get(`${number} ${store}`)?.keys() ?? [])]

function reasonOf(number, store) {
  const [, , reason] =
    REASONS.find(([numbers, stores]) => numbers.includes(number) && stores.includes(store)) ?? []
  if (reason !== undefined) return reason
  return titlesOf(number, 'every store').length > 0 ? 'the same code for every store' : undefined
}

const unexplained = []

function cell(number, store) {
  const count = titlesOf(number, store).length
  if (count > 0) return `[${count}](#${number.toLowerCase()})`
  const reason = reasonOf(number, store)
  if (reason === undefined) unexplained.push(`${number}: ${store}`)
  return reason === 'the same code for every store' ? 'all' : '–'
}

const header = ['', ...COLUMNS]
const table = [
  header,
  header.map(() => '---'),
  ...rules.map(({ number }) => [
    `[${number}](#${number.toLowerCase()})`,
    ...COLUMNS.map((store) => cell(number, store)),
  ]),
]

function section({ number, words }) {
  const lines = [`### ${number}`, '', words, '']
  for (const store of [...COLUMNS, 'every store']) {
    const titles = titlesOf(number, store)
    if (titles.length > 0) lines.push(`- **${store}**: ${titles.sort().join(' · ')}`)
    else if (store !== 'every store')
      lines.push(`- **${store}**: ${reasonOf(number, store) ?? 'not shown'}`)
  }
  return lines.join('\n')
}

const text = await prettier.format(
  `# Every rule against every store

Made by \`node scripts/rules_table.mjs\` from a run of all tests; \`npm test\` fails when it is out of date. The rules are those
of the [guarantees](guarantees.md).

A number says that the rule holds, shown by so many different tests with that store; below the table they stand by their titles,
which begin with the number of the rule. \`all\`: it is the same code for every store, tested once.
\`–\`: the rule has no meaning there, or is not ours to keep; the list says why.

${table.map((row) => `| ${row.join(' | ')} |`).join('\n')}

## The tests

${rules.map(section).join('\n\n')}
`,
  { ...(await prettier.resolveConfig(PAGE)), parser: 'markdown' }
)

if (unexplained.length > 0) {
  console.error(`Neither a test nor a reason:\n  ${unexplained.join('\n  ')}`)
  process.exitCode = 1
}
const current = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : ''
if (current === text) console.log('docs/rules.md is what the tests show')
else if (process.argv.includes('--check')) {
  console.error(
    'docs/rules.md is not what the tests show: run "node scripts/rules_table.mjs" and commit it'
  )
  process.exitCode = 1
} else {
  writeFileSync(PAGE, text)
  console.log('docs/rules.md has been written')
}
