/**
 * Real AdonisJS apps for the tests of this folder, made by the factories of whichever AdonisJS is installed.
 */

import { mkdtemp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { defineConfig as defineLoggerConfig } from '@adonisjs/core/logger'
import { IgnitorFactory } from '@adonisjs/core/factories'
import type { ApplicationService } from '@adonisjs/core/types'
import type { TestContext } from '@japa/runner/core'

type Environment = Parameters<ReturnType<IgnitorFactory['create']>['createApp']>[0]

/** One line of the app's log. */
export interface LogLine {
  level: number
  msg: string
  pkg?: string
  [property: string]: unknown
}

/** A stream for a logger, and the lines that were written to it. */
export function captureLog() {
  const lines: LogLine[] = []
  const destination = new Writable({
    write(chunk, _encoding, done) {
      for (const line of String(chunk).trim().split('\n')) {
        lines.push(JSON.parse(line) as LogLine)
      }
      done()
    },
  })
  return { lines, destination }
}

/**
 * Boots an app that has the lock provider, and `lock` as what `config/lock.ts` exports; with `redis` that of
 * `config/redis.ts` and its provider too, with `database` that of `config/database.ts`. It is terminated when the test ends, unless the test did that.
 */
export async function bootApp(
  test: TestContext['test'],
  lock: unknown,
  options: {
    environment?: Environment
    destination?: NodeJS.WritableStream
    redis?: object
    database?: object
  } = {}
): Promise<ApplicationService> {
  const { redis, database } = options
  const providers = [() => import('loquet/lock_provider')]
  if (redis) providers.push(() => import('@adonisjs/redis/redis_provider') as never)
  if (database) providers.push(() => import('@adonisjs/lucid/database_provider') as never)
  const app = new IgnitorFactory()
    .withCoreProviders()
    .withCoreConfig()
    .merge({
      rcFileContents: { providers },
      config: {
        lock,
        ...(redis && { redis }),
        ...(database && { database }),
        logger: defineLoggerConfig({
          default: 'app',
          loggers: {
            app: {
              enabled: options.destination !== undefined,
              level: 'trace',
              // The name that AdonisJS 6 knows; AdonisJS 7 still takes it.
              desination: options.destination,
            },
          },
        }),
      },
    })
    .create(pathToFileURL(`${tmpdir()}/`))
    .createApp(options.environment ?? 'web')

  test.cleanup(() => app.terminate())
  await app.init()
  await app.boot()
  return app
}

/** The folders of the installed packages that a generated app needs. */
function findPackages() {
  const require = createRequire(import.meta.url)
  const core = require.resolve('@adonisjs/core/package.json')
  const own = require.resolve('loquet/package.json')
  return { core: dirname(core), own: dirname(own) }
}

/**
 * A folder with the files of an AdonisJS app that `configure` reads and changes. This package is installed in it under
 * `installedAs`; `manifest` is merged into its `package.json`. Removed when the test ends.
 */
export async function createAppFolder(
  test: TestContext['test'],
  installedAs: string,
  manifest: Record<string, unknown> = {}
) {
  const root = await mkdtemp(join(tmpdir(), 'loquet-app-'))
  test.cleanup(() => rm(root, { recursive: true, force: true }))

  const { core, own } = findPackages()
  await mkdir(join(root, 'start'))
  await mkdir(join(root, 'node_modules', '@adonisjs'), { recursive: true })
  await mkdir(dirname(join(root, 'node_modules', installedAs)), { recursive: true })
  await symlink(core, join(root, 'node_modules', '@adonisjs', 'core'))
  await symlink(own, join(root, 'node_modules', installedAs))

  const files: Record<string, string> = {
    '.env': '',
    'package.json': JSON.stringify({
      name: 'app',
      type: 'module',
      imports: { '#start/*': './start/*.js' },
      ...manifest,
    }),
    'tsconfig.json': JSON.stringify({
      compilerOptions: { target: 'ESNext', module: 'NodeNext', strict: true },
    }),
    'adonisrc.ts': `import { defineConfig } from '@adonisjs/core/app'\nexport default defineConfig({})\n`,
    'start/env.ts': [
      `import { Env } from '@adonisjs/core/env'`,
      `export default await Env.create(new URL('../', import.meta.url), {})`,
      '',
    ].join('\n'),
  }
  for (const [path, contents] of Object.entries(files)) {
    await writeFile(join(root, path), contents)
  }

  return {
    root,
    url: pathToFileURL(`${root}/`),
    read: (path: string) => readFile(join(root, path), 'utf-8'),
    write: async (path: string, contents: string) => {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), contents)
    },
    import: (path: string) => import(pathToFileURL(join(root, path)).href),
  }
}

export type AppFolder = Awaited<ReturnType<typeof createAppFolder>>

/** A store that keeps its locks in a Map, as a person could write it for a custom store. */
export class MapStore {
  #owners = new Map<string, string>()

  async save(key: string, owner: string, _ttl: number | null): Promise<boolean> {
    if (this.#owners.has(key)) return false
    this.#owners.set(key, owner)
    return true
  }

  async delete(key: string, owner: string): Promise<void> {
    if (this.#owners.get(key) !== owner) throw new Error('not the owner')
    this.#owners.delete(key)
  }

  async forceDelete(key: string): Promise<void> {
    this.#owners.delete(key)
  }

  async exists(key: string): Promise<boolean> {
    return this.#owners.has(key)
  }

  async extend(_key: string, _owner: string, _duration: number): Promise<void> {}
}
