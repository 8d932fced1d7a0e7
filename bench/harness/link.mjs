import { existsSync, lstatSync, mkdirSync, symlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const modules = fileURLToPath(new URL('../node_modules/', import.meta.url))

/**
 * Makes `import 'loquet'` mean the build in the folder above.
 *
 * A link and not a dependency: npm would pin a tarball by its hash and go on using the old one after
 * each build, and for a `file:..` dependency it would write the root's whole tree into our lockfile.
 *
 * @returns {boolean} Whether there is a build
 */
export function linkLoquet() {
  const link = `${modules}loquet`
  if (!lstatSync(link, { throwIfNoEntry: false })) {
    mkdirSync(modules, { recursive: true })
    symlinkSync('../..', link, 'dir')
  }
  return existsSync(`${root}build/index.js`)
}
