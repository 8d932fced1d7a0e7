/**
 * The declarations at the root and in build/ are those of the code: `npm run build:lib` has been run since it changed.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from '@japa/runner'
import { root } from './consumer.js'

const run = promisify(execFile)

/** What the generator reads. */
const SOURCES = ['lib', 'scripts', 'stubs', 'package.json', 'tsconfig.json', 'tsconfig.build.json']
/** What lies in build/ without being made of lib/. */
const NATIVE = 'native'

/** The declarations of a build/ folder, by their paths. */
async function readDeclarations(folder: string) {
  const paths = await readdir(folder, { recursive: true })
  const contents = paths
    .filter((path) => path.endsWith('.d.ts') && !path.startsWith(`${NATIVE}/`))
    .sort()
    .map(async (path) => [path, await readFile(join(folder, path), 'utf8')] as const)
  return Object.fromEntries(await Promise.all(contents))
}

test.group('Declarations', () => {
  test('index.d.ts and build/ are what the generator makes of lib/', async ({
    assert,
    test: current,
  }) => {
    // In a copy: the other tests use build/.
    const copy = await mkdtemp(join(tmpdir(), 'loquet-declarations-'))
    current.cleanup(() => rm(copy, { recursive: true, force: true }))
    for (const name of SOURCES) await cp(join(root, name), join(copy, name), { recursive: true })
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
    await mkdir(join(copy, 'build'))
    await symlink(join(root, 'build', NATIVE), join(copy, 'build', NATIVE))

    await run(process.execPath, [join(copy, 'scripts/build_lib.mjs')])

    const [generated, committed] = await Promise.all(
      [copy, root].map((folder) => readFile(join(folder, 'index.d.ts'), 'utf8'))
    )
    assert.equal(committed, generated)
    assert.deepEqual(
      await readDeclarations(join(root, 'build')),
      await readDeclarations(join(copy, 'build'))
    )
  })
})
