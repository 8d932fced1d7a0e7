/**
 * What only CommonJS has: `require` and `__dirname`. An ES module would need `import.meta` for them, which is a syntax
 * error wherever modules are turned into CommonJS (Jest, say).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where the library lies: the folder of this file. */
export const folder = __dirname

/** Loads an addon, or a file of JSON. */
export const load = (path: string): unknown => require(path)

/** Whether `load` would find it. */
export const isThere = (path: string): boolean => {
  try {
    require.resolve(path)
    return true
  } catch {
    return false
  }
}

/** The version of this package. */
// Read, not required: loaders that compile TypeScript on the fly can't require JSON from here on Node.js 20.
export const { version } = JSON.parse(readFileSync(join(__dirname, '../package.json'), 'utf8')) as {
  version: string
}
