import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** What the other build is called in tables. */
export const BEFORE = 'loquet, before'

/**
 * Another checkout of loquet that has been built: what a change costs shows beside it. The environment
 * tells it to the processes that measure.
 *
 * @returns {string | undefined} Its folder
 */
export function folderBefore() {
  return process.env.LOQUET_BENCH_BEFORE
}

/**
 * Takes a folder for the other build.
 *
 * @param {string} folder
 * @returns {boolean} Whether there is a build
 */
export function useBefore(folder) {
  process.env.LOQUET_BENCH_BEFORE = resolve(folder)
  return existsSync(entryOf('loquet', BEFORE))
}

/**
 * Imports an entry of this build or of the other one.
 *
 * @param {'loquet' | `loquet/drivers/${'memory' | 'redis' | 'database'}`} entry
 * @param {string} contender - `loquet` or {@link BEFORE}
 */
export function importOf(entry, contender) {
  return contender === BEFORE
    ? import(pathToFileURL(entryOf(entry, contender)).href)
    : import(entry)
}

/**
 * @param {string} entry
 * @param {string} contender
 */
function entryOf(entry, contender) {
  if (contender !== BEFORE) return entry
  const file = entry === 'loquet' ? 'index.js' : `${entry.slice('loquet/'.length)}.js`
  return `${folderBefore()}/build/${file}`
}

/**
 * Imports a build from a copy of it in a folder with a name of random length. Where a build lies decides where its code
 * comes to lie in memory, and that alone makes a tenth of a difference to a pair: over several rounds it evens out.
 *
 * @param {string} contender - `loquet` or {@link BEFORE}
 */
export async function importCopy(contender) {
  const folder =
    contender === BEFORE ? String(folderBefore()) : fileURLToPath(new URL('../..', import.meta.url))
  const parent = mkdtempSync(join(tmpdir(), 'loquet-bench-'))
  const copy = join(parent, 'x'.repeat(1 + Math.floor(Math.random() * 100)))
  try {
    mkdirSync(copy)
    for (const part of ['build', 'package.json']) {
      cpSync(join(folder, part), join(copy, part), { recursive: true })
    }
    symlinkSync(join(folder, 'node_modules'), join(copy, 'node_modules'))
    const { LockFactory } = await import(pathToFileURL(join(copy, 'build/index.js')).href)
    const memory = pathToFileURL(join(copy, 'build/drivers/memory.js')).href
    const { MemoryStore } = await import(memory)
    return { LockFactory, MemoryStore }
  } finally {
    rmSync(parent, { recursive: true })
  }
}
