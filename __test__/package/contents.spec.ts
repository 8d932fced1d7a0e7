/**
 * What would be published.
 */
import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from '@japa/runner'
import { stage } from './installed.js'
import { npm, readManifest, startRegistry } from './registry.js'

type Targets = string | { [condition: string]: Targets }
interface Published {
  version: string
  main: string
  types: string
  exports: Targets
  typesVersions: { '*': Record<string, string[]> }
  optionalDependencies: Record<string, string>
  dependencies: Record<string, string>
  scripts?: unknown
  devDependencies?: unknown
}

/** All paths that a manifest names. */
function pathsOf(targets: Targets): string[] {
  return typeof targets === 'string' ? [targets] : Object.values(targets).flatMap(pathsOf)
}

test.group('What is published', (group) => {
  let staged: Awaited<ReturnType<typeof stage>>
  let registry: Awaited<ReturnType<typeof startRegistry>>
  group.setup(async () => {
    staged = await stage()
    registry = await startRegistry(staged.folder, [], [])
    return async () => {
      await registry.close()
      await staged.remove()
    }
  })

  async function publish(folder: string) {
    const { name } = await readManifest(folder)
    const flags = ['--dry-run', '--json', '--provenance=false', `--registry=${registry.url}`]
    const { stdout } = await npm(folder, 'publish', ...flags)
    // Since npm 11 by the package's name.
    const answer = JSON.parse(stdout) as Record<string, unknown>
    const { files } = (answer[name] ?? answer) as { files: { path: string }[] }
    return files.map(({ path }) => path)
  }

  test('the library: everything that it names, and nothing else', async ({ assert }) => {
    const files = await publish(staged.library)
    const manifest = (await readManifest(staged.library)) as unknown as Published

    const named = [
      ...pathsOf(manifest.exports),
      ...Object.values(manifest.typesVersions['*']).flat(),
      manifest.main,
      manifest.types,
    ].map((path) => path.replace('./', ''))
    assert.includeMembers(
      files,
      named.filter((path) => !path.includes('*'))
    )
    assert.includeMembers(files, ['README.md', 'LICENSE.md', 'CHANGELOG.md'])
    const others = files.filter(
      (path) =>
        !/^build\/.*\.(js|cjs|d\.ts|d\.cts)$/.test(path) &&
        !/^build\/stubs\/.*\.stub$/.test(path) &&
        !['README.md', 'LICENSE.md', 'CHANGELOG.md', 'index.d.ts', 'package.json'].includes(path)
    )
    assert.deepEqual(others, [])
  })

  test('its manifest: one optional package for each platform, nothing of the workshop', async ({
    assert,
  }) => {
    const manifest = (await readManifest(staged.library)) as unknown as Published
    const platforms = await Promise.all(staged.platforms.map(({ folder }) => readManifest(folder)))
    const names = platforms.map(({ name, version }) => [name, version])

    assert.lengthOf(names, 8)
    assert.deepEqual(manifest.optionalDependencies, Object.fromEntries(names.sort()))
    for (const [, version] of names) assert.equal(version, manifest.version)
    assert.notProperty(manifest, 'scripts')
    assert.notProperty(manifest, 'devDependencies')
  })

  test('what is imported by it is there', async ({ assert }) => {
    const all = await readdir(staged.library, { recursive: true })
    const files = all.filter((path) => /\.c?js$/.test(path))
    const missing = []
    for (const file of files) {
      const code = readFileSync(join(staged.library, file), 'utf8')
      for (const [, path] of code.matchAll(/(?:from |import\()'(\.[^']+)'/g)) {
        if (!files.includes(join(file, '..', path))) missing.push(`${file}: ${path}`)
      }
    }

    assert.isAbove(files.length, 30)
    assert.deepEqual(missing, [])
  })

  test('a platform: the binary and the licence', async ({ assert }) => {
    const built = staged.platforms.filter(({ isBuilt }) => isBuilt)

    assert.isNotEmpty(built)
    for (const { folder } of built) {
      const { main } = await readManifest(folder)
      assert.sameMembers(await publish(folder), ['LICENSE.md', 'README.md', 'package.json', main!])
    }
  })
})
