/**
 * An app that has installed this package from a registry, as it would be published from what has been built.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { npm, readManifest, startRegistry } from './registry.js'

const run = promisify(execFile)
export const root = fileURLToPath(new URL('../../', import.meta.url))
const programs = fileURLToPath(new URL('programs/', import.meta.url))

/** The app's own clients. */
const PEERS = ['@aws-sdk/client-dynamodb', 'knex', 'kysely']

/** Lays out what would be published in a temporary folder. */
export async function stage(...options: string[]) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'loquet-package-')))
  const staged = join(folder, 'npm')
  const args = [join(root, 'scripts/stage.mjs'), '--to', staged, ...options]
  await run(process.execPath, args, { timeout: 100_000 })
  const names = await readdir(staged)
  const others = names.filter((name) => name !== 'loquet')
  const platforms = await Promise.all(
    others.map(async (name) => {
      const { main } = await readManifest(join(staged, name))
      return { folder: join(staged, name), isBuilt: existsSync(join(staged, name, main!)) }
    })
  )
  return {
    folder,
    library: join(staged, 'loquet'),
    platforms,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

type Staged = Awaited<ReturnType<typeof stage>>

/**
 * Installs it into an empty app under the given names.
 *
 * @param options - Of `scripts/stage.mjs`
 */
export async function installUnder(names: string[], options: string[] = []): Promise<Installed> {
  const staged = await stage(...options)
  try {
    return await installFrom(staged, names)
  } catch (error) {
    await staged.remove()
    throw error
  }
}

async function installFrom(staged: Staged, names: string[]): Promise<Installed> {
  const { version } = await readManifest(staged.library)
  const { dependencies } = (await readManifest(root)) as unknown as { dependencies: object }
  const registry = await startRegistry(
    staged.folder,
    [
      staged.library,
      ...staged.platforms.filter(({ isBuilt }) => isBuilt).map(({ folder }) => folder),
      ...Object.keys(dependencies).map((name) => join(root, 'node_modules', name)),
    ],
    staged.platforms.filter(({ isBuilt }) => !isBuilt).map(({ folder }) => folder)
  )

  const app = join(staged.folder, 'app')
  await mkdir(app)
  const manifest = {
    private: true,
    dependencies: Object.fromEntries(names.map((name) => [name, `npm:loquet@${version}`])),
  }
  await writeFile(join(app, 'package.json'), JSON.stringify(manifest))
  await writeFile(
    join(app, '.npmrc'),
    `registry=${registry.url}\ncache=${join(staged.folder, 'cache')}\naudit=false\nfund=false\n`
  )
  await npm(app, 'install').finally(() => registry.close())
  await cp(programs, app, { recursive: true })
  for (const name of PEERS) {
    await mkdir(dirname(join(app, 'node_modules', name)), { recursive: true })
    await symlink(join(root, 'node_modules', name), join(app, 'node_modules', name))
  }

  return new Installed(app, registry.downloaded, staged.remove)
}

/** The app, and what can be done with it. */
export class Installed {
  constructor(
    readonly folder: string,
    /** The tarballs that were downloaded to install it. */
    readonly downloaded: string[],
    readonly remove: () => Promise<void>
  ) {}

  /** The same once more. */
  async copy(): Promise<Installed> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'loquet-package-')))
    await cp(this.folder, folder, { recursive: true })
    return new Installed(folder, this.downloaded, () => rm(folder, { recursive: true }))
  }

  /** Runs a program of `programs/`; rejects with its output if it fails. */
  async run(program: string, environment: Record<string, string> = {}, ...flags: string[]) {
    const { stdout, stderr } = await run(process.execPath, [...flags, program], {
      cwd: this.folder,
      env: { ...process.env, NODE_OPTIONS: '', ...environment },
      timeout: 50_000,
    })
    return { stdout, stderr }
  }
}
