/**
 * Lays out the packages as they are published: the library without a binary, and one package for each platform.
 *
 *     node scripts/stage.mjs [--to folder] [--self-contained] [--release]
 *
 * In the folder (`npm` unless named) there are then `loquet` and one folder for each target of package.json's `napi`;
 * napi makes these. Binaries come from build/native.
 *
 * --self-contained   only `loquet`, with the binaries inside and no other packages: for the examples
 * --release          fails if a target has no binary
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { rmSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const native = join(root, 'build', 'native')

const { values } = parseArgs({
  options: {
    'to': { type: 'string', default: join(root, 'npm') },
    'self-contained': { type: 'boolean', default: false },
    'release': { type: 'boolean', default: false },
  },
})
const folder = resolve(values.to)
const library = join(folder, 'loquet')

if (!existsSync(join(root, 'build', 'index.js')) || binaries().length === 0) {
  console.error('Nothing to stage: run "npm run build" first')
  process.exit(1)
}

rmSync(folder, { recursive: true, force: true })
mkdirSync(library, { recursive: true })
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
if (values['self-contained']) stageSelfContained()
else stageForRegistry()

function binaries() {
  return existsSync(native) ? readdirSync(native).filter((name) => name.endsWith('.node')) : []
}

function stageSelfContained() {
  stageLibrary({ files: [...manifest.files, 'build/native/*.node'].filter(isNotNode) })
  for (const name of binaries()) {
    cpSync(join(native, name), join(library, 'build', 'native', name))
  }
}

function isNotNode(pattern) {
  return pattern !== '!build/**/*.node'
}

function stageForRegistry() {
  const platforms = makePlatformFolders()
  for (const name of binaries()) {
    const platform = name.split('.')[1]
    if (platforms.includes(platform)) cpSync(join(native, name), join(folder, platform, name))
  }
  const optionalDependencies = {}
  for (const platform of platforms.sort()) {
    const package_ = join(folder, platform)
    const described = JSON.parse(readFileSync(join(package_, 'package.json'), 'utf8'))
    const { homepage, bugs, publishConfig } = manifest
    write(join(package_, 'package.json'), { ...described, homepage, bugs, publishConfig })
    cpSync(join(root, 'LICENSE.md'), join(package_, 'LICENSE.md'))
    if (values.release && !existsSync(join(package_, described.main))) {
      throw new Error(`There is no ${described.main} in build/native`)
    }
    optionalDependencies[described.name] = described.version
  }
  stageLibrary({ optionalDependencies })
}

/** What people install: without what only this repository needs. */
function stageLibrary(changes) {
  const { scripts, napi: _, devDependencies, overrides, prettier, ...published } = manifest
  write(join(library, 'package.json'), { ...published, ...changes })
  for (const name of ['README.md', 'LICENSE.md', 'CHANGELOG.md', 'index.d.ts', 'build']) {
    cpSync(join(root, name), join(library, name), {
      recursive: true,
      filter: (path) => !path.endsWith('.node') && !path.endsWith('.tgz'),
    })
  }
}

/** One folder for each target, with its package.json. napi works in the folder that it finds a package.json in. */
function makePlatformFolders() {
  const source = join(folder, 'package.json')
  write(source, manifest)
  const napi = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  execFileSync(process.execPath, [napi, 'create-npm-dirs', '--npm-dir', '.'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  rmSync(source)
  return readdirSync(folder).filter((name) => name !== basename(library))
}

function write(path, content) {
  writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`)
}
