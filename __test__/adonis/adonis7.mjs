/**
 * Runs the tests of this folder, and those of the Redis and database stores in an app, against AdonisJS 7 on Node 24, with this package
 * installed from its tarball under the name `@adonisjs/lock`:
 *
 *     node __test__/adonis/adonis7.mjs [-- <arguments of the test runner>]
 *
 * The packages are those of the example app, see scripts/example_app.mjs.
 */

import { spawnSync } from 'node:child_process'
import { cpSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installExample } from '../../scripts/example_app.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** What is run, and what that needs: files, and folders with all their files. */
const FILES = [
  '__test__/adonis',
  '__test__/redis/adonis_redis.spec.ts',
  '__test__/redis/servers.ts',
  '__test__/database/adonis_lucid.spec.ts',
  '__test__/database/knexes.ts',
  '__test__/database/servers.ts',
  '__test__/docs/samples.ts',
  '__test__/types/consumer.ts',
  '__test__/unit/observe.ts',
  'docs/fencing.md',
  'examples/adonis/database/migrations',
  'scripts/database',
  'scripts/redis',
  'scripts/servers',
  'stubs',
]

const RUNNER = `import { assert } from '@japa/assert'
import { configure, processCLIArgs, run } from '@japa/runner'

processCLIArgs(process.argv.slice(2))
configure({ files: ['__test__/**/*.spec.ts'], plugins: [assert()], timeout: 60_000 })
run()
`

const { folder, node } = installExample('adonis7')
const sandbox = copyTests(join(folder, 'tmp', 'tests'))

const end = process.argv.indexOf('--')
const args = end === -1 ? [] : process.argv.slice(end + 1)
const { status, signal, error } = spawnSync(node, ['--import', 'tsx', 'run.ts', ...args], {
  cwd: sandbox,
  stdio: 'inherit',
})
if (error) throw error
process.exit(status ?? (console.error(`The tests were ended by ${signal}`), 1))

/** Copies the tests to where they find the packages of the app before those of this project. */
function copyTests(to) {
  rmSync(to, { recursive: true, force: true })
  for (const path of FILES) cpSync(join(root, path), join(to, path), { recursive: true })
  writeFileSync(join(to, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  writeFileSync(join(to, 'run.ts'), RUNNER)

  // The tests import this package by its own name, which is thus a second name of the one that is installed.
  const link = join(folder, 'node_modules', 'loquet')
  rmSync(link, { recursive: true, force: true })
  symlinkSync(join('@adonisjs', 'lock'), link, 'junction')
  return to
}
