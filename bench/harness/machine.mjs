import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'

const bench = fileURLToPath(new URL('../', import.meta.url))

/**
 * Where and with what the figures were taken.
 */
export function machineFacts() {
  const [cpu] = os.cpus()
  return {
    date: new Date().toISOString(),
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: process.version,
    v8: process.versions.v8,
    commit: commit(),
    loadAtStart: Number(os.loadavg()[0].toFixed(2)),
    versions: versions(),
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

function versions() {
  const names = ['loquet', '@verrou/core', 'ioredis', 'async-mutex', 'async-lock']
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
