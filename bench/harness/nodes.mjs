import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * A Node.js to measure with.
 *
 * @typedef {object} NodeBinary
 * @property {string} path
 * @property {string} version - With the `v`
 * @property {string} label - `Node 24`
 */

/** An optional package: without it, or on another system, one version less is measured. */
const packaged = fileURLToPath(new URL('../node_modules/node24/bin/node', import.meta.url))

/**
 * The Node.js that runs this and the one that is installed as a package, each major version once and
 * in ascending order.
 *
 * @returns {NodeBinary[]}
 */
export function nodeBinaries() {
  /** @type {Map<number, NodeBinary>} */
  const found = new Map()
  for (const path of [process.execPath, packaged]) {
    const { stdout, status } = spawnSync(path, ['--version'], { encoding: 'utf8' })
    if (status !== 0) {
      continue
    }
    const version = stdout.trim()
    const major = Number.parseInt(version.slice(1))
    if (!found.has(major)) {
      found.set(major, { path, version, label: `Node ${major}` })
    }
  }
  return [...found.entries()].sort(([a], [b]) => a - b).map(([, one]) => one)
}
