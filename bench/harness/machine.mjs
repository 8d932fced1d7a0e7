import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'

const bench = fileURLToPath(new URL('../', import.meta.url))

/**
 * Where and with what the figures were taken.
 *
 * @param {string[]} nodes - The versions of Node.js
 * @param {string[]} packages - Whose versions matter
 */
export function machineFacts(nodes, packages) {
  const [cpu] = os.cpus()
  return {
    date: new Date().toISOString(),
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: `Node ${nodes.map((version) => version.slice(1)).join(' and ')}`,
    commit: commit(),
    loadAtStart: Number(os.loadavg()[0].toFixed(2)),
    versions: versions(packages),
  }
}

/**
 * The commit that the working tree stands on, with a `+` if tracked files differ from it.
 */
function commit() {
  /** @param {string[]} args */
  const git = (args) =>
    execFileSync('git', args, { cwd: bench, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const changed = git(['status', '--porcelain', '--untracked-files=no']).trim()
    return git(['rev-parse', '--short', 'HEAD']).trim() + (changed ? '+' : '')
  } catch {
    return 'unknown'
  }
}

/**
 * @param {string[]} names
 * @returns {Record<string, string>}
 */
function versions(names) {
  return Object.fromEntries(
    names.map((name) => {
      try {
        return [
          name,
          JSON.parse(readFileSync(`${bench}node_modules/${name}/package.json`, 'utf8')).version,
        ]
      } catch {
        return [name, 'missing']
      }
    })
  )
}
