import { fork, spawnSync } from 'node:child_process'
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
  return /** @type {number} */ (measuredByChild(name, args, { ownFlags }))
}

/**
 * The same for a program that prints one figure or several by name, as JSON.
 *
 * @param {string} name
 * @param {(string | number)[]} args
 * @param {{ ownFlags?: string[], node?: string }} [options] - `node` is the path of the Node.js to run
 * @returns {import('./types.mjs').Measured}
 */
export function measuredByChild(name, args, { ownFlags = [], node = process.execPath } = {}) {
  // The flags of this process go along, so that --cpu-prof reaches the children too
  const flags = [...process.execArgv, '--expose-gc', ...ownFlags]
  const child = spawnSync(node, [...flags, childPath(name), ...args.map(String)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.status !== 0) {
    throw new Error(`${name} ${args.join(' ')} failed with ${child.signal ?? child.status}`)
  }
  const measured = JSON.parse(child.stdout)
  if (measured === null) {
    throw new Error(`${name} ${args.join(' ')} measured nothing`)
  }
  return measured
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

/**
 * Starts a program of `children/` that answers messages, and waits until it says that it is ready.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {string} node - The path of the Node.js to run
 */
export async function openChild(name, args, node) {
  const child = fork(childPath(name), args, { execPath: node, stdio: 'inherit' })
  /** @returns {Promise<unknown>} */
  const answer = () =>
    new Promise((heard, failed) => {
      /** @param {number | null} status */
      const ended = (status) => failed(new Error(`${name} ${args.join(' ')} ended with ${status}`))
      child.once('exit', ended)
      child.once('message', (message) => {
        child.off('exit', ended)
        heard(message)
      })
    })
  await answer()
  return {
    /** @param {import('node:child_process').Serializable} question */
    ask: (question) => {
      const answered = answer()
      child.send(question)
      return answered
    },
    close: () => child.kill(),
  }
}
