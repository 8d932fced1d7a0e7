/**
 * The app that one has before anything is configured: AdonisJS and the packed package, no store, no client, no route that
 * locks.
 */

import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What every app has in the same words is taken from the example. */
const SHARED = [
  'ace.js',
  'bin/console.ts',
  'bin/ignitor.ts',
  'bin/server.ts',
  'config/app.ts',
  'config/encryption.ts',
  'config/logger.ts',
  'tsconfig.json',
]

const FILES = {
  'adonisrc.ts': `import { defineConfig } from '@adonisjs/core/app'

export default defineConfig({
  commands: [() => import('@adonisjs/core/commands')],

  providers: [
    () => import('@adonisjs/core/providers/app_provider'),
    {
      file: () => import('@adonisjs/core/providers/repl_provider'),
      environment: ['repl', 'test'],
    },
  ],

  preloads: [() => import('#start/routes'), () => import('#start/kernel')],
})
`,

  'start/env.ts': `import { Env } from '@adonisjs/core/env'

export default await Env.create(new URL('../', import.meta.url), {
  NODE_ENV: Env.schema.enum(['development', 'production', 'test'] as const),
  PORT: Env.schema.number(),
  APP_KEY: Env.schema.string(),
  APP_NAME: Env.schema.string.optional(),
  HOST: Env.schema.string({ format: 'host' }),
  LOG_LEVEL: Env.schema.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const),
})
`,

  'start/kernel.ts': `import server from '@adonisjs/core/services/server'

server.use([])
`,

  'start/routes.ts': `import router from '@adonisjs/core/services/router'

router.get('/', () => ({ hello: 'world' }))
`,

  '.env': `TZ=UTC
PORT=3333
HOST=127.0.0.1
NODE_ENV=production
LOG_LEVEL=info
APP_KEY=a-key-that-protects-nothing-but-tests
`,
}

/** The packages of the example that AdonisJS itself has an app depend on, and this package. */
const DEPENDENCIES = ['@adonisjs/core', '@adonisjs/lock']

/**
 * Writes the app into a folder that is not there yet.
 *
 * @param {string} folder
 * @param {string} example - Where the example is installed: the app has its packages, and depends on few of them
 */
export function writeEmptyApp(folder, example) {
  const { imports, dependencies, devDependencies } = manifestOf(example)

  for (const path of SHARED) {
    // AdonisJS 6 has no encryption config.
    if (existsSync(join(example, path))) cpSync(join(example, path), join(folder, path))
  }
  for (const [path, text] of Object.entries(FILES)) write(join(folder, path), text)

  write(
    join(folder, 'package.json'),
    JSON.stringify(
      {
        name: 'empty-app',
        private: true,
        type: 'module',
        imports,
        dependencies: Object.fromEntries(DEPENDENCIES.map((name) => [name, dependencies[name]])),
        devDependencies,
      },
      null,
      2
    )
  )
  symlinkSync(join(example, 'node_modules'), join(folder, 'node_modules'), 'junction')
}

/**
 * What `npm install` would do with packages of the example: from now on the app depends on them.
 */
export function addDependencies(folder, example, names) {
  const manifest = manifestOf(folder)
  const { dependencies, optionalDependencies } = manifestOf(example)
  for (const name of names) {
    manifest.dependencies[name] = { ...optionalDependencies, ...dependencies }[name]
    if (!manifest.dependencies[name]) throw new Error(`The example does not have ${name} installed`)
  }
  write(join(folder, 'package.json'), JSON.stringify(manifest, null, 2))
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf-8'))
}

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
