/**
 * Configures the package in an empty app, as its README says, once for each store, and boots what comes of it:
 *
 *     node __test__/adonis/configured_apps.mjs --adonis=6|7 [--store=memory] [--database=sqlite|postgres]
 *
 * For each store: `node ace configure @adonisjs/lock` in an app with nothing but AdonisJS; what has been written; the same
 * again, and with a store that there isn't; then what the store needs, set up by its own `configure`; types; migrations; the
 * server, which locks through the service; and its end. The packages are those of the example app, see
 * scripts/example_app.mjs. Servers are private ones.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '../../scripts/database/servers.mjs'
import { startDynamoDb } from '../../scripts/dynamodb/servers.mjs'
import { installExample } from '../../scripts/example_app.mjs'
import { startStandalone } from '../../scripts/redis/servers.mjs'
import { prepareSqlite } from '../../scripts/sqlite.mjs'
import { addDependencies, writeEmptyApp } from './empty_app.mjs'

const PACKAGE = '@adonisjs/lock'

/** How long a command of an app may take at most, in milliseconds. */
const PATIENCE = 120_000

/** Each way to have a database: what to install, how to set Lucid up, the environment of the app. */
const DATABASES = {
  sqlite: {
    driver: 'better-sqlite3',
    async start() {
      prepareSqlite(example.folder, example.node)
      return {}
    },
  },
  postgres: {
    driver: 'pg',
    async start() {
      const { host, port, user, password, database } = await startPostgres()
      return {
        DB_HOST: host,
        DB_PORT: `${port}`,
        DB_USER: user,
        DB_PASSWORD: password,
        DB_DATABASE: database,
      }
    },
  },
}

const STORES = {
  memory: {
    packages: [],
    config: [],
  },

  redis: {
    packages: ['@adonisjs/redis'],
    config: ['redis: stores.redis({})'],
    setUp: [['configure', '@adonisjs/redis']],
    async start() {
      const { host, port } = await startStandalone()
      return { REDIS_HOST: host, REDIS_PORT: `${port}`, REDIS_PASSWORD: '' }
    },
  },

  database: {
    packages: ['@adonisjs/lucid'],
    config: ['database: stores.database({', "tableName: 'locks'"],
    get setUp() {
      return [['configure', '@adonisjs/lucid', `--db=${database}`, '--no-install']]
    },
    start: () => DATABASES[database].start(),
    commands: [['migration:run', '--force']],
  },

  dynamodb: {
    packages: ['@aws-sdk/client-dynamodb'],
    config: ['dynamodb: stores.dynamodb({', "table: { name: 'locks' }", 'new DynamoDBClient({})'],
    async start() {
      const { endpoint } = await startDynamoDb()
      return {
        AWS_ENDPOINT_URL_DYNAMODB: endpoint,
        AWS_REGION: 'eu-central-1',
        AWS_ACCESS_KEY_ID: 'nobody',
        AWS_SECRET_ACCESS_KEY: 'nothing',
      }
    },
  },
}

const ROUTES = `import router from '@adonisjs/core/services/router'
import locks from '${PACKAGE}/services/main'

router.get('/', async () => {
  const lock = locks.createLock('order.processing.1', '30s')
  const other = locks.createLock('order.processing.1')
  const acquired = await lock.acquireImmediately()
  const refused = !(await other.acquireImmediately())
  const isLocked = await other.isLocked()
  await lock.release()
  const [executed, result] = await other.run(async () => 'in turn')
  return { acquired, refused, isLocked, executed, result, free: !(await lock.isLocked()) }
})
`

const { values: options } = parseArgs({
  options: {
    adonis: { type: 'string', default: '6' },
    store: { type: 'string', multiple: true },
    database: { type: 'string' },
  },
})
const database = options.database ?? (options.adonis === '7' ? 'postgres' : 'sqlite')
const wanted = options.store ?? Object.keys(STORES)
if (
  !['6', '7'].includes(options.adonis) ||
  !Object.hasOwn(DATABASES, database) ||
  !wanted.every((store) => Object.hasOwn(STORES, store))
) {
  console.error(
    `usage: node ${process.argv[1]} --adonis=6|7 [--store=${Object.keys(STORES).join('|')}] ` +
      `[--database=${Object.keys(DATABASES).join('|')}]`
  )
  process.exit(2)
}

const example = installExample(`adonis${options.adonis}`)
const folder = mkdtempSync(join(tmpdir(), 'loquet-apps-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

// Two at a time: most of it is one process that waits for another.
const queue = [...wanted]
let failed = false
await Promise.all([work(), work()])
process.exit(failed ? 1 : 0)

async function work() {
  for (let store = queue.shift(); store; store = queue.shift()) {
    const startedAt = performance.now()
    try {
      await configuredApp(store)
      const took = ((performance.now() - startedAt) / 1000).toFixed(1)
      const title = store === 'database' ? `database, ${database}` : store
      console.log(`AdonisJS ${options.adonis}, ${title}: configured, booted, ended (${took} s)`)
    } catch (error) {
      failed = true
      console.error(`AdonisJS ${options.adonis}, ${store}: failed\n`, error)
    }
  }
}

async function configuredApp(store) {
  const app = join(folder, store)
  const { packages, config, setUp = [], start: startServer, commands = [] } = STORES[store]
  writeEmptyApp(app, example.folder)

  if (store === wanted[0]) await refusesOtherStores(app)
  const output = await configure(app, store)
  for (const name of packages) {
    assert.match(output, new RegExp(`npm i(nstall)? ${name}`), 'What is missing is said')
  }
  await isConfigured(app, store, config)
  await isLeftAlone(app, () => configure(app, store))

  const drivers = store === 'database' ? [DATABASES[database].driver] : []
  addDependencies(app, example.folder, [...packages, ...drivers])
  for (const args of setUp) await ace(app, args)
  if (startServer) setVariables(app, await startServer())
  for (const args of commands) await ace(app, args)
  writeFileSync(join(app, 'start/routes.ts'), ROUTES)
  await run(app, ['node_modules/typescript/bin/tsc', '--noEmit'])
  await locksThroughTheService(app)
}

/** What `node ace configure` writes. */
async function isConfigured(app, store, config) {
  const lockConfig = read(app, 'config/lock.ts')
  for (const text of [
    `from '${PACKAGE}'`,
    `'${PACKAGE}/types'`,
    "env.get('LOCK_STORE')",
    ...config,
  ]) {
    occursOnce(lockConfig, text)
  }
  occursOnce(lockConfig, 'memory: stores.memory()')
  occursOnce(read(app, 'adonisrc.ts'), `() => import('${PACKAGE}/lock_provider')`)
  const allowed = [...new Set([store, 'memory'])].map((name) => `'${name}'`).join(', ')
  occursOnce(read(app, 'start/env.ts'), `LOCK_STORE: Env.schema.enum([${allowed}] as const)`)
  occursOnce(read(app, '.env'), `LOCK_STORE=${store}`)

  const migrations = join(app, 'database/migrations')
  const files = existsSync(migrations) ? readdirSync(migrations) : []
  assert.equal(files.length, store === 'database' ? 1 : 0, 'Migrations')
  if (store === 'database') assert.match(files[0], /^\d+_create_locks_table\.ts$/)
}

async function refusesOtherStores(app) {
  await isLeftAlone(app, async () => {
    const { code, output } = await execute(app, [
      'ace.js',
      'configure',
      PACKAGE,
      '--store=nonsense',
    ])
    assert.equal(code, 1, output)
    assert.match(output, /Invalid lock store "nonsense".*database, redis, dynamodb, and memory/)
  })
}

/** Does something in the app that must not change a file of it. */
async function isLeftAlone(app, action) {
  const before = filesOf(app)
  await action()
  assert.deepEqual(filesOf(app), before)
}

/** Starts the server as in production, has it lock, and ends it as a process manager does. */
async function locksThroughTheService(app) {
  const port = await freePort()
  const child = start(app, ['--import', '#typescript', 'bin/server.ts'], { PORT: `${port}` })
  try {
    await Promise.race([once(child, 'message'), child.ended])
    assert.equal(child.exitCode, null, child.output)
    const response = await fetch(`http://127.0.0.1:${port}`)
    const text = await response.text()
    assert.equal(response.status, 200, `${text}\n${child.output}`)
    assert.deepEqual(JSON.parse(text), {
      acquired: true,
      refused: true,
      isLocked: true,
      executed: true,
      result: 'in turn',
      free: true,
    })
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  child.kill('SIGTERM')
  // Nobody calls process.exit there: it ends when nothing is left to do.
  assert.equal(await child.ended, 0, child.output)
  assert.doesNotMatch(child.output, /"level":[456]0/, 'Warnings and errors in the log')
}

function configure(app, store) {
  return ace(app, ['configure', PACKAGE, `--store=${store}`])
}

function ace(app, args) {
  return run(app, ['ace.js', ...args])
}

/** Resolves to what a process of the app has printed. Rejects if it fails. */
async function run(app, args) {
  const { code, output } = await execute(app, args)
  assert.equal(code, 0, `node ${args.join(' ')}: ended with ${code}\n${output}`)
  return output
}

async function execute(app, args) {
  const child = start(app, args)
  return { code: await child.ended, output: child.output }
}

/** A process in the app, with nothing in its environment that its files don't say. */
function start(app, args, env = {}) {
  const { PATH, HOME } = process.env
  const child = spawn(example.node, args, {
    cwd: app,
    env: { PATH, HOME, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  child.output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      child.output += text
    })
  }

  const timer = setTimeout(() => {
    child.output += `\nStill running after ${PATIENCE / 1000} s`
    child.kill('SIGKILL')
  }, PATIENCE)
  const killed = () => child.kill('SIGKILL')
  process.once('exit', killed)
  child.ended = once(child, 'close').then(([code]) => {
    clearTimeout(timer)
    process.off('exit', killed)
    return code
  })
  return child
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** The texts of the app's own files. */
function filesOf(app) {
  const texts = {}
  for (const entry of readdirSync(app, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) texts[path] = readFileSync(path, 'utf-8')
  }
  return texts
}

function read(app, path) {
  return readFileSync(join(app, path), 'utf-8')
}

function occursOnce(text, part) {
  assert.equal(text.split(part).length - 1, 1, `${part} occurs once in\n${text}`)
}

/** Says in `.env` what differs from what `configure` has written there. */
function setVariables(app, variables) {
  const others = read(app, '.env')
    .split('\n')
    .filter((line) => !Object.hasOwn(variables, line.split('=')[0]))
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'`)
  writeFileSync(join(app, '.env'), [...others, ...lines, ''].join('\n'))
}
