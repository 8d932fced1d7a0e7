import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { folder } from '../require.cjs'
import { DEFAULT_TABLE_NAME } from './stores.js'

/**
 * The part of AdonisJS's `Codemods` that `configure` uses.
 */
export interface ConfigureCodemods {
  makeUsingStub(
    stubsRoot: string,
    stubPath: string,
    stubState: Record<string, unknown>
  ): Promise<unknown>
  updateRcFile(callback: (rcFile: { addProvider(path: string): unknown }) => void): Promise<void>
  defineEnvVariables(variables: Record<string, string>): Promise<void>
  defineEnvValidations(validations: {
    leadingComment: string
    variables: Record<string, string>
  }): Promise<void>
  listPackagesToInstall(packages: { name: string; isDevDependency: boolean }[]): Promise<void>
}

/**
 * The part of AdonisJS's `Configure` command that `configure` uses. The commands of AdonisJS 6 and 7 have it.
 */
export interface ConfigureCommand {
  /** The package to configure, as it was typed. */
  name: string
  parsedFlags: Record<string, unknown>
  exitCode?: number
  app: {
    makePath(...paths: string[]): string
    migrationsPath(...paths: string[]): string
  }
  prompt: {
    choice(
      title: string,
      choices: readonly string[],
      options?: { validate?(value: string): boolean | string }
    ): Promise<string>
  }
  logger: {
    logError(message: string): void
  }
  createCodemods(): Promise<ConfigureCodemods>
}

type Manifest = Partial<
  Record<'dependencies' | 'devDependencies' | 'optionalDependencies', Record<string, string>>
> & { name?: string }

const KNOWN_STORES = ['database', 'redis', 'dynamodb', 'memory']

/** The packages that the config of a store needs, to be installed and set up by the person. */
const REQUIRED_PACKAGES: Record<string, string> = {
  database: '@adonisjs/lucid',
  redis: '@adonisjs/redis',
  dynamodb: '@aws-sdk/client-dynamodb',
}

/** The name that this package is published under. */
const OWN_NAME = 'loquet'

/** The name that it is installed under, by alias, in an app that migrated. */
const USUAL_ALIAS = '@adonisjs/lock'

const MIGRATION_SUFFIX = '_create_locks_table.ts'

/** The build copies the stubs to `build/stubs`. */
const stubsRoot = join(folder, 'stubs')

/** All packages that the app depends on, with the versions it asks for. */
async function readDependencies(command: ConfigureCommand): Promise<Record<string, string>> {
  const manifest = await readManifest(command.app.makePath('package.json'))
  return {
    ...manifest?.optionalDependencies,
    ...manifest?.devDependencies,
    ...manifest?.dependencies,
  }
}

async function readManifest(path: string): Promise<Manifest | null> {
  try {
    return JSON.parse(await readFile(path, 'utf-8')) as Manifest
  } catch {
    return null
  }
}

/**
 * Finds the name under which the app has this package installed, because that is the name that its imports need.
 *
 * What was typed after `ace configure` is that name, unless it was a path. Otherwise the app's `package.json` tells: a
 * dependency that is an npm alias of this package, or one that has this package's manifest installed (an alias of a
 * tarball, a folder or a workspace).
 */
async function findPackageName(
  command: ConfigureCommand,
  dependencies: Record<string, string>
): Promise<string> {
  if (command.name === OWN_NAME || command.name === USUAL_ALIAS) {
    return command.name
  }

  // The likeliest names first, so that the result doesn't depend on the order in package.json.
  const names = new Set([command.name, USUAL_ALIAS, OWN_NAME, ...Object.keys(dependencies)])
  for (const name of names) {
    const spec = dependencies[name]
    if (spec === undefined) {
      continue
    }
    if (/^npm:loquet(@|$)/.test(spec)) {
      return name
    }
    const installed = await readManifest(command.app.makePath('node_modules', name, 'package.json'))
    if (installed?.name === OWN_NAME) {
      return name
    }
  }

  return OWN_NAME
}

/**
 * The file name of the migration: that of an earlier `configure` if there is one, so that a second run doesn't create
 * the table twice.
 */
async function findMigrationFileName(command: ConfigureCommand): Promise<string> {
  const files = await readdir(command.app.migrationsPath()).catch(() => [])
  return files.find((file) => file.endsWith(MIGRATION_SUFFIX)) ?? `${Date.now()}${MIGRATION_SUFFIX}`
}

/**
 * Sets the package up in an AdonisJS app: `node ace configure <package>`, which `node ace add` runs too.
 *
 * Writes `config/lock.ts` for the store given by `--store` (or asked for), registers the provider, defines the
 * environment variable `LOCK_STORE` and its validation, and creates the migration of the `locks` table for the
 * `database` store. Files that exist are left alone unless `--force` is given.
 *
 * An unknown store is reported on the command line, with exit code 1; nothing is written then.
 */
export async function configure(command: ConfigureCommand): Promise<void> {
  const flag = command.parsedFlags.store
  const store =
    typeof flag === 'string' && flag !== ''
      ? flag
      : await command.prompt.choice('Select the storage layer you want to use', KNOWN_STORES, {
          validate: (value) => (value ? true : 'Please select a store'),
        })

  if (!KNOWN_STORES.includes(store)) {
    const known = new Intl.ListFormat('en', { type: 'conjunction' }).format(KNOWN_STORES)
    command.exitCode = 1
    command.logger.logError(`Invalid lock store "${store}". Supported stores are: ${known}`)
    return
  }

  const codemods = await command.createCodemods()
  const dependencies = await readDependencies(command)
  const packageName = await findPackageName(command, dependencies)

  await codemods.makeUsingStub(stubsRoot, 'config/lock.stub', {
    store,
    packageName,
    tableName: DEFAULT_TABLE_NAME,
  })

  await codemods.updateRcFile((rcFile) => {
    rcFile.addProvider(`${packageName}/lock_provider`)
  })

  if (store === 'database') {
    await codemods.makeUsingStub(stubsRoot, 'make/migration/locks.stub', {
      tableName: DEFAULT_TABLE_NAME,
      fileName: await findMigrationFileName(command),
    })
  }

  await codemods.defineEnvVariables({ LOCK_STORE: store })

  const allowed = [...new Set([store, 'memory'])].map((name) => `'${name}'`).join(', ')
  await codemods.defineEnvValidations({
    leadingComment: 'Variables for configuring the lock package',
    variables: { LOCK_STORE: `Env.schema.enum([${allowed}] as const)` },
  })

  const required = REQUIRED_PACKAGES[store]
  if (required && !(required in dependencies)) {
    await codemods.listPackagesToInstall([{ name: required, isDevDependency: false }])
  }
}
