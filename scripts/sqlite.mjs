// Sees to it that better-sqlite3 can be loaded: `node scripts/sqlite.mjs`, for the tests of this project.
//
// Up to its version 12, the last one for Node.js 20, it is compiled for more than a minute where it isn't to be had
// ready-made. So packages are installed without that, and those who test on SQLite call this: it compiles once, and other
// folders that have the same version get a copy.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const FOLDERS = ['.', 'examples/adonis', 'examples/plain-node'].map((path) => join(root, path))
const BINARY = join('build', 'Release', 'better_sqlite3.node')

/**
 * @param {string} folder - Of a package with better-sqlite3 among its dependencies
 * @param {string} [node] - What loads it
 * @throws Error if it can't be loaded, nor compiled
 */
export function prepareSqlite(folder, node = process.execPath) {
  if (isLoaded(folder, node)) return

  for (const other of FOLDERS) {
    if (versionOf(other) !== versionOf(folder) || !isLoaded(other, node)) continue
    mkdirSync(dirname(join(packageOf(folder), BINARY)), { recursive: true })
    cpSync(join(packageOf(other), BINARY), join(packageOf(folder), BINARY))
    return
  }

  const { status } = spawnSync('npm', ['rebuild', 'better-sqlite3', '--loglevel=error'], {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    env: { ...process.env, JOBS: 'max' },
  })
  if (status !== 0 || !isLoaded(folder, node)) {
    throw new Error(`better-sqlite3 can't be loaded in ${folder}`)
  }
}

function packageOf(folder) {
  return join(folder, 'node_modules', 'better-sqlite3')
}

function versionOf(folder) {
  const manifest = join(packageOf(folder), 'package.json')
  return existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf-8')).version : undefined
}

/** In a process of its own: what was built for another Node.js may end it. */
function isLoaded(folder, node) {
  const script = `new (require(${JSON.stringify(packageOf(folder))}))(':memory:').close()`
  return spawnSync(node, ['-e', script], { stdio: 'ignore' }).status === 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) prepareSqlite(root)
