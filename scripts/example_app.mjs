// Installs an example, with the packed package in it: `node scripts/example_app.mjs adonis6|adonis7|plain-node [--sqlite]`.
//
// The one for AdonisJS 6 is examples/adonis itself. The one for AdonisJS 7 is a copy in tmp/adonis7, with what AdonisJS 7
// wants otherwise laid over it, and with a Node.js 24 among its packages unless this process runs on one. What is
// installed already stays. With --sqlite its tests can use SQLite, see sqlite.mjs.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { prepareSqlite } from './sqlite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'examples', 'adonis')
const NAMES = ['adonis6', 'adonis7', 'plain-node']
const tarball = join(root, 'build', 'loquet.tgz')
const runsOnNode24 = Number(process.versions.node.split('.')[0]) >= 24

/** What belongs to an installation, not to the application. */
const INSTALLED = ['node_modules', 'build', 'tmp', '.env']

/**
 * Installs an example and returns where it is, and what it runs on.
 *
 * @param {'adonis6' | 'adonis7' | 'plain-node'} name
 * @returns {{ folder: string, node: string }}
 */
export function installExample(name) {
  if (!existsSync(tarball)) {
    throw new Error(
      'There is no build/loquet.tgz: run "npm run build" and "bash scripts/pack.sh" first'
    )
  }
  if (name !== 'adonis7') {
    const folder = name === 'adonis6' ? source : join(root, 'examples', name)
    installPackages(folder)
    return { folder, node: process.execPath }
  }

  const folder = copyForAdonis7()
  installPackages(folder)
  return { folder, node: runsOnNode24 ? process.execPath : node24(folder) }
}

function node24(folder) {
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  return join(folder, 'node_modules', 'node24', 'bin', name)
}

function copyForAdonis7() {
  const folder = join(root, 'tmp', 'adonis7')
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) {
    if (!INSTALLED.includes(name)) rmSync(join(folder, name), { recursive: true })
  }

  const overlay = join(source, 'adonis7')
  cpSync(source, folder, {
    recursive: true,
    filter: (path) => {
      const [name] = relative(source, path).split(sep)
      return name !== 'adonis7' && !INSTALLED.includes(name)
    },
  })
  cpSync(overlay, folder, { recursive: true })

  if (!runsOnNode24) {
    const path = join(folder, 'package.json')
    const manifest = JSON.parse(readFileSync(path, 'utf-8'))
    const platform = process.platform === 'win32' ? 'win' : process.platform
    manifest.devDependencies.node24 = `npm:node-${platform}-${process.arch}@^24.0.0`
    writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`)
  }
  return folder
}

/** Brings the packages up to date, unless both package.json and the tarball are those of the last time. */
function installPackages(folder) {
  const state = createHash('sha256')
    .update(readFileSync(join(folder, 'package.json')))
    .update(readFileSync(tarball))
    .digest('hex')
  // Written last, so that an installation that was cut short is done again.
  const marker = join(folder, 'node_modules', '.installed')
  if (existsSync(marker) && readFileSync(marker, 'utf-8') === state) return
  rmSync(marker, { force: true })

  // Nothing but SQLite has to be compiled, and nobody but the tests needs it. AdonisJS 7 asks for Node.js 24, which need
  // not be what npm runs on.
  const flags = [
    '--ignore-scripts',
    '--prefer-offline',
    '--engine-strict=false',
    '--loglevel=error',
  ]
  const { status, error } = spawnSync('npm', ['run', '--silent', 'reinstall', '--', ...flags], {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (error) throw error
  if (status !== 0) throw new Error(`npm could not install the packages of ${folder}`)
  writeFileSync(marker, state)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: { sqlite: { type: 'boolean' } },
    allowPositionals: true,
  })
  const [name, ...others] = positionals
  if (!NAMES.includes(name) || others.length > 0) {
    console.error(`usage: node ${process.argv[1]} ${NAMES.join('|')} [--sqlite]`)
    process.exit(2)
  }
  const { folder, node } = installExample(name)
  if (values.sqlite) prepareSqlite(folder, node)
}
