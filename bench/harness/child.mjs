import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * The path of a program in `children/`.
 *
 * @param {string} name
 */
export function childPath(name) {
  return fileURLToPath(new URL(`../children/${name}`, import.meta.url))
}

/**
 * Runs a program of `children/` in a fresh process and reads the figure that it prints.
 *
 * @param {string} name
 * @param {(string | number)[]} args
 * @param {string[]} [ownFlags] - For node
 * @returns {number}
 */
export function figureOfChild(name, args, ownFlags = []) {
  // The flags of this process go along, so that --cpu-prof reaches the children too
  const flags = [...process.execArgv, '--expose-gc', ...ownFlags]
  const child = spawnSync(process.execPath, [...flags, childPath(name), ...args.map(String)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const figure = Number.parseFloat(child.stdout)
  if (child.status !== 0 || Number.isNaN(figure)) {
    throw new Error(`${name} ${args.join(' ')} failed with ${child.signal ?? child.status}`)
  }
  return figure
}

/**
 * Runs a program of `children/` in a fresh process and takes the time from its start to its end.
 *
 * @param {string} name
 * @param {string[]} args
 * @returns {number} Milliseconds
 */
export function timeOfChild(name, args) {
  const start = performance.now()
  const child = spawnSync(process.execPath, [childPath(name), ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const time = performance.now() - start
  if (child.status !== 0) {
    throw new Error(`${name} ${args.join(' ')} failed with ${child.signal ?? child.status}`)
  }
  return time
}
