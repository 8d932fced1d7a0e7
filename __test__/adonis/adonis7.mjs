/**
 * Runs the tests of this folder, and those of the Redis store in an app, against AdonisJS 7 on Node 24, with this package
 * installed from its tarball under the name `@adonisjs/lock`:
 *
 *     node __test__/adonis/adonis7.mjs <tarball> [folder]
 *
 * The folder (or LOQUET_ADONIS7_DIR, or tmp/adonis7) holds the installed packages. It is reused by the next run, which
 * then installs nothing but a tarball that has changed. Delete it to get newer versions. Arguments after `--` go to the
 * test runner.
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '..', '..')

/** What is run, and what that needs: files, and folders with all their files. */
const FILES = [
  '__test__/adonis',
  '__test__/redis/adonis_redis.spec.ts',
  '__test__/redis/servers.ts',
  '__test__/unit/observe.ts',
  'scripts/redis',
  'scripts/servers',
]

const [own, runnerArguments] = splitArguments(process.argv.slice(2))
const [tarball, folder = process.env.LOQUET_ADONIS7_DIR] = own

if (!tarball || !existsSync(tarball)) {
  console.error(`usage: node ${process.argv[1]} <tarball> [folder] [-- <arguments of the runner>]`)
  console.error(tarball ? `There is no file "${tarball}"` : 'Which tarball? "npm pack" makes one')
  process.exit(2)
}

const sandbox = resolve(folder || join(root, 'tmp', 'adonis7'))
mkdirSync(sandbox, { recursive: true })

install()
copyTests()
process.exit(run(nodeBinary(), ['--import', 'tsx', 'run.ts', ...runnerArguments]))

function splitArguments(all) {
  const end = all.indexOf('--')
  return end === -1 ? [all, []] : [all.slice(0, end), all.slice(end + 1)]
}

/** Runs a command in the sandbox and returns its exit code. */
function run(command, args) {
  const { status, signal, error } = spawnSync(command, args, { cwd: sandbox, stdio: 'inherit' })
  if (error) throw error
  return status ?? (console.error(`${command} was ended by ${signal}`), 1)
}

/** Node 24: this process, or the one that comes as a package. */
function nodeBinary() {
  return isNode24()
    ? process.execPath
    : join(
        sandbox,
        'node_modules',
        'node',
        'bin',
        process.platform === 'win32' ? 'node.exe' : 'node'
      )
}

function isNode24() {
  return Number(process.versions.node.split('.')[0]) >= 24
}

/** Brings `node_modules` up to date: with the package.json that is wanted, and so with the tarball in it. */
function install() {
  // Named by its contents: npm takes a file of the same name and version for the one that it has installed.
  const contents = readFileSync(tarball)
  const name = `loquet-${createHash('sha256').update(contents).digest('hex').slice(0, 16)}.tgz`
  const manifest = JSON.stringify(
    {
      name: 'adonis7-sandbox',
      private: true,
      type: 'module',
      dependencies: {
        '@adonisjs/assembler': '^8.0.0',
        '@adonisjs/core': '^7.0.0',
        '@adonisjs/lock': `file:./${name}`,
        '@adonisjs/redis': '^10.0.2',
        '@japa/assert': '^4.2.0',
        '@japa/runner': '^5.3.0',
        '@types/node': '^24.0.0',
        'tsx': '^4.23.0',
        'typescript': '^5.9.0',
        ...(isNode24() ? {} : { node: '^24.0.0' }),
      },
    },
    null,
    2
  )

  // Written last, so that an installation that was cut short is done again.
  const marker = join(sandbox, 'installed.json')
  if (existsSync(marker) && readFileSync(marker, 'utf-8') === manifest) {
    return
  }

  rmSync(marker, { force: true })
  for (const file of readdirSync(sandbox)) {
    if (file.endsWith('.tgz')) rmSync(join(sandbox, file))
  }
  writeFileSync(join(sandbox, name), contents)
  writeFileSync(join(sandbox, 'package.json'), manifest)

  // AdonisJS 7 asks for Node 24, which need not be the node that npm runs on.
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--engine-strict=false']
  const status = run('npm', ['install', '--loglevel=error', ...flags])
  if (status !== 0) {
    process.exit(status)
  }

  // The tests import this package by its own name, which is thus a second name of the one that is installed.
  const link = join(sandbox, 'node_modules', 'loquet')
  rmSync(link, { recursive: true, force: true })
  symlinkSync(join('@adonisjs', 'lock'), link, 'junction')

  writeFileSync(marker, manifest)
}

function copyTests() {
  for (const folder of ['__test__', 'scripts']) {
    rmSync(join(sandbox, folder), { recursive: true, force: true })
  }
  for (const path of FILES) {
    cpSync(join(root, path), join(sandbox, path), { recursive: true })
  }

  writeFileSync(
    join(sandbox, 'run.ts'),
    `import { assert } from '@japa/assert'
import { configure, processCLIArgs, run } from '@japa/runner'

processCLIArgs(process.argv.slice(2))
configure({ files: ['__test__/**/*.spec.ts'], plugins: [assert()] })
run()
`
  )
}
