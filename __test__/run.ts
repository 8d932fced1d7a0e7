/**
 * Runs the Japa suites: `node --import tsx __test__/run.ts [suite…] [--files …] [--tests …]`.
 */
import { assert } from '@japa/assert'
import { fileSystem } from '@japa/file-system'
import { configure, processCLIArgs, run } from '@japa/runner'

import { failuresInto } from './failures.js'
import { record } from './record.js'
import { watchdog } from './watchdog.js'

const SUITES = [
  ...['unit', 'stores', 'faults', 'redis', 'database', 'dynamodb'],
  ...['adonis', 'lifecycle', 'types', 'package', 'docs'],
]

/** No test may take half as long as the watchdog is patient, unless somebody wants large storms. */
const patience = process.env.LOQUET_ACQUISITIONS === undefined ? 300_000 : 7_200_000

const failures: string[] = []

processCLIArgs(process.argv.slice(2))
configure({
  suites: SUITES.map((name) => ({
    name,
    files: [`__test__/${name}/**/*.spec.ts`],
    // Generous: a busy machine with two cores must not turn a slow test into a failing one.
    timeout: name === 'unit' ? 10_000 : 60_000,
  })),
  plugins: [
    assert(),
    fileSystem(),
    record(),
    failuresInto(failures),
    watchdog({ patience, mostTimeouts: 5 }),
  ],
  forceExit: false,
})

await run()
for (const failure of failures) console.error(`Failed: ${failure}`)

// Rarely Node.js 20 doesn't come to an end by itself, but waits for a handle of its own that is never closed, at full speed.
process.on('beforeExit', () => process.exit())

// What keeps a process alive is looked at by tests of its own; here it must not keep anybody waiting for the outcome.
setTimeout(() => {
  console.error('Still alive a minute after the last test:', process.getActiveResourcesInfo())
  process.exit()
}, 60_000).unref()
