/**
 * Runs the Japa suites: `node --import tsx __test__/run.ts [suite…] [--files …] [--tests …]`.
 */
import { assert } from '@japa/assert'
import { fileSystem } from '@japa/file-system'
import { configure, processCLIArgs, run } from '@japa/runner'

import { record } from './record.js'
import { watchdog } from './watchdog.js'

const SUITES = [
  ...['unit', 'stores', 'faults', 'redis', 'database', 'dynamodb'],
  ...['adonis', 'lifecycle', 'types', 'package', 'docs'],
]

processCLIArgs(process.argv.slice(2))
configure({
  suites: SUITES.map((name) => ({
    name,
    files: [`__test__/${name}/**/*.spec.ts`],
    // Generous: a busy machine with two cores must not turn a slow test into a failing one.
    timeout: name === 'unit' ? 10_000 : 60_000,
  })),
  // No test may take half as long as the watchdog is patient.
  plugins: [assert(), fileSystem(), record(), watchdog({ patience: 300_000, mostTimeouts: 5 })],
  forceExit: false,
})

await run()

// What keeps a process alive is looked at by tests of its own; here it must not keep anybody waiting for the outcome.
setTimeout(() => {
  console.error('Still alive a minute after the last test:', process.getActiveResourcesInfo())
  process.exit()
}, 60_000).unref()
