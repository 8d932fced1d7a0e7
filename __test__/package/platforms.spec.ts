/**
 * Which addon is loaded, and what is said where there is none.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from '@japa/runner'
import { installUnder, root } from './installed.js'
import { readManifest } from './registry.js'
import type { Installed } from './installed.js'

/** What importing the package fails with. Runs in a process of its own, with a changed `process`. */
const failure = (changes: string) => `
${changes}
const error = await import('loquet').then(() => {}, (reason) => reason)
const { name, code, message, cause } = error ?? {}
console.log(JSON.stringify({ name, code, message, cause: cause?.code ?? cause?.message }))
`
const pretend = (platform: string, arch: string) =>
  failure(`for (const [name, value] of Object.entries(${JSON.stringify({ platform, arch })}))
    Object.defineProperty(process, name, { value })`)

interface Failure {
  name?: string
  code?: string
  message?: string
  cause?: string
}

test.group('Platforms', (group) => {
  let installed: Installed
  /** Each test has a copy to damage. */
  let app: Installed
  /** The package with the addon of this platform. */
  let own: string
  let version: string
  group.setup(async () => {
    installed = await installUnder(['loquet'])
    const addon = installed.downloaded.find((name) => /^loquet-[a-z]/.test(name))!
    ;({ version } = await readManifest(root))
    own = addon.slice(0, -`-${version}.tgz`.length)
    return () => installed.remove()
  })
  group.each.setup(async () => {
    app = await installed.copy()
    return () => app.remove()
  })

  async function fail(program: string, environment?: Record<string, string>): Promise<Failure> {
    await writeFile(join(app.folder, 'failure.mjs'), program)
    const { stdout } = await app.run('failure.mjs', environment)
    return JSON.parse(stdout) as Failure
  }
  const addonOf = (name: string) => join(app.folder, 'node_modules', name)

  test('only the package of this platform is downloaded', async ({ assert }) => {
    const addons = app.downloaded.filter((name) => /^loquet-[a-z]/.test(name))

    assert.deepEqual(addons, [`${own}-${version}.tgz`])
    assert.deepEqual(await fail(failure('')), {})
  })

  test('a platform that nothing is built for is named, with those that there are', async ({
    assert,
  }) => {
    const { code, message } = await fail(pretend('sunos', 'x64'))

    assert.equal(code, 'E_LOCK_UNSUPPORTED_PLATFORM')
    assert.include(message, `sunos x64, Node.js ${process.versions.node}`)
    for (const { napi } of [await readManifest(root)] as unknown as { napi: Napi }[]) {
      for (const target of napi.targets) assert.include(message, platformOf(target))
    }
    assert.include(message, 'LOQUET_BINARY')
  })

  test('a package that was left out is named, with what to do', async ({ assert }) => {
    await rm(addonOf(own), { recursive: true })
    const { name, code, message, cause } = await fail(failure(''))

    assert.equal(name, 'E_LOCK_UNSUPPORTED_PLATFORM')
    assert.equal(code, 'E_LOCK_UNSUPPORTED_PLATFORM')
    assert.include(message, `The package ${own} is not installed`)
    assert.include(message, '--omit=optional')
    assert.include(message, 'lockfile')
    assert.equal(cause, 'MODULE_NOT_FOUND')
  })

  test('node_modules of another platform are not ours', async ({ assert }) => {
    const { message } = await fail(pretend('darwin', 'arm64'))

    assert.include(message, 'darwin arm64')
    assert.include(message, 'The package loquet-darwin-arm64 is not installed')
  })

  test('a file that is no addon is the cause', async ({ assert }) => {
    const { main } = await readManifest(addonOf(own))
    await writeFile(join(addonOf(own), main!), 'nothing')
    const { code, message, cause } = await fail(failure(''))

    assert.equal(code, 'E_LOCK_UNSUPPORTED_PLATFORM')
    assert.include(message, `${own} is installed, but can't be loaded here`)
    assert.equal(cause, 'ERR_DLOPEN_FAILED')
  })

  test('an addon of another version is refused', async ({ assert }) => {
    const manifest = { ...(await readManifest(addonOf(own))), version: '0.0.1' }
    await writeFile(join(addonOf(own), 'package.json'), JSON.stringify(manifest))
    const { code, message } = await fail(failure(''))

    assert.equal(code, 'E_LOCK_UNSUPPORTED_PLATFORM')
    assert.include(message, `${own} is version 0.0.1, this is version ${version}`)
  })

  test('LOQUET_BINARY names an addon', async ({ assert }) => {
    const { main } = await readManifest(addonOf(own))
    const LOQUET_BINARY = join(addonOf(own), main!)

    assert.deepEqual(await fail(pretend('sunos', 'x64'), { LOQUET_BINARY }), {})
    const { code, message } = await fail(failure(''), { LOQUET_BINARY: '/nowhere.node' })
    assert.equal(code, 'E_LOCK_UNSUPPORTED_PLATFORM')
    assert.include(message, 'LOQUET_BINARY names /nowhere.node')
  })
})

interface Napi {
  targets: string[]
}

/** `x86_64-unknown-linux-gnu` as in the names of packages. */
function platformOf(target: string): string {
  const [cpu, , system, abi] = target.split('-')
  const platform = { linux: 'linux', darwin: 'darwin', windows: 'win32' }[system]
  const arch = cpu === 'x86_64' ? 'x64' : 'arm64'
  return [platform, arch, abi].filter((part) => part !== undefined).join('-')
}
