/**
 * Compiles lib/ to build/ and generates index.d.ts.
 *
 * index.d.ts at the root is the one declaration of the public classes: what a reader opens, and what the package's `.`
 * entry points at. The declarations in build/ that other entries import would be a second one (and classes with private
 * members are never assignable to a twin), so they are replaced by re-exports of it.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

import { rollup } from 'rollup'
import { dts } from 'rollup-plugin-dts'

const root = fileURLToPath(new URL('..', import.meta.url))
const build = join(root, 'build')

// Made beside build/ and moved there at the end: a compile error leaves the last good build as it is.
mkdirSync(join(root, 'tmp'), { recursive: true })
const staging = mkdtempSync(join(root, 'tmp', 'build-'))
process.on('exit', () => rmSync(staging, { recursive: true, force: true }))

const BANNER = `/**
 * The public API of loquet: what \`import … from 'loquet'\` (or from the name it is installed under) gives.
 *
 * Generated from lib/ by \`npm run build:lib\`; not to be edited.
 */
`

/** Modules whose classes are declared in index.d.ts, and what they export from it. */
const DECLARED_IN_INDEX = {
  'lock.d.ts': "export { Lock } from '../index.js'\nexport type { RunResult } from '../index.js'\n",
  'lock_factory.d.ts': "export { LockFactory } from '../index.js'\n",
  'verrou.d.ts':
    "export { Verrou } from '../index.js'\nexport type { VerrouConfig } from '../index.js'\n",
}

execFileSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', staging],
  { cwd: root, stdio: 'inherit' }
)
cpSync(join(root, 'stubs'), join(staging, 'stubs'), { recursive: true })

const bundle = await rollup({
  input: join(staging, 'index.d.ts'),
  plugins: [dts()],
  external: [/^@/, /^node:/],
  onwarn(warning) {
    throw new Error(warning.message)
  },
})
const { output } = await bundle.generate({ format: 'es' })
// Loads the module that apps augment, so that `declare module '…/types'` finds it wherever `.` is imported.
const declarations = `${BANNER}import './build/adonis/types.js'\n${output[0].code}`
const target = join(root, 'index.d.ts')
if (!existsSync(target) || readFileSync(target, 'utf8') !== declarations) {
  writeFileSync(target, declarations)
}
for (const [file, content] of Object.entries(DECLARED_IN_INDEX)) {
  writeFileSync(join(staging, file), content)
}

for (const { types } of Object.values(readManifest().exports)) {
  if (types !== undefined) writeForCommonJs(types)
}

mkdirSync(build, { recursive: true })
for (const entry of readdirSync(build)) {
  if (entry !== 'native' && !entry.endsWith('.tgz')) rmSync(join(build, entry), { recursive: true })
}
for (const entry of readdirSync(staging)) renameSync(join(staging, entry), join(build, entry))

function readManifest() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
}

/**
 * CommonJS gets the same declarations, not twins. Those TypeScripts that take every `require` of an ES module for an error
 * (`module: node16`) would report it in each file of an app; here it is answered once.
 */
function writeForCommonJs({ require: target, default: source }) {
  const text = readFileSync(source === './index.d.ts' ? join(root, source) : staged(source), 'utf8')
  const path = relative(dirname(target), source).replace(/\.d\.ts$/, '.js')
  const specifier = path.startsWith('.') ? path : `./${path}`
  const names = /^export default|default }/m.test(text) ? ['*', '{ default }'] : ['*']
  const lines = names.map((name) => `// @ts-ignore\nexport ${name} from '${specifier}'\n`)
  writeFileSync(staged(target), lines.join(''))
}

/** Where a file lies before it is moved to build/. */
function staged(path) {
  return join(staging, relative('./build', path))
}
