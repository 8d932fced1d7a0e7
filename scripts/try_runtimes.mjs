/**
 * Tries the package in Node.js, Bun and Deno and prints what works: the table of docs/runtimes.md.
 *
 *     npm run build && scripts/pack.sh && node scripts/try_runtimes.mjs
 *     node scripts/try_runtimes.mjs --here
 *
 * Bun and Deno come from npm, into tmp/runtimes. Private servers are started; they need redis-server and PostgreSQL. With
 * `--here` only this very runtime is tried, on what has been built, and without servers.
 */
import { execFile, execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const VERSIONS = { bun: '1.4.5', deno: '2.9.6' }
/** Milliseconds for one try. */
const LONGEST = 20_000

const run = promisify(execFile)
const programs = fileURLToPath(new URL('runtimes', import.meta.url))
const root = fileURLToPath(new URL('..', import.meta.url))
const app = join(root, 'tmp', 'runtimes')
const here = { 'This runtime': [process.execPath] }

let isFine = true
if (process.argv.includes('--here')) {
  await tryIn(here, programs, process.env)
} else {
  install()
  const { startPostgres } = await import('./database/servers.mjs')
  const { startStandalone } = await import('./redis/servers.mjs')
  const [redis, postgres] = await Promise.all([startStandalone(), startPostgres()])
  const env = { ...process.env, LOQUET_TEST_REDIS: redis.url, DATABASE_URL: postgres.url }
  const program = (name) => join(app, 'node_modules', '.bin', name)
  const others = {
    Bun: [program('bun')],
    Deno: [program('deno'), 'run', '--allow-all'],
  }
  await tryIn({ ...here, ...others }, app, env)
  await Promise.all([redis.stop(), postgres.stop()])
}
process.exitCode = isFine ? 0 : 1

/** Makes an app that has installed the package, and the runtimes. */
function install() {
  rmSync(app, { recursive: true, force: true })
  mkdirSync(app, { recursive: true })
  const loquet = `file:${join(root, 'build', 'loquet.tgz')}`
  const manifest = { private: true, dependencies: { loquet, ...VERSIONS } }
  writeFileSync(join(app, 'package.json'), JSON.stringify(manifest))
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  execFileSync('npm', ['install', ...quiet], { cwd: app, stdio: 'inherit' })
  cpSync(programs, app, { recursive: true })
}

async function tryIn(runtimes, cwd, env) {
  const { stdout } = await run(process.execPath, ['tries.mjs'], { cwd })
  const tries = [...JSON.parse(stdout).map((name) => ['tries.mjs', name]), ['required.cjs']]
  for (const [name, runtime] of Object.entries(runtimes)) {
    const { stdout: version } = await run(runtime[0], ['--version'])
    console.log(`\n${name}: ${version.split('\n')[0]}`)
    for (const args of tries) {
      console.log(`  ${args.at(-1).padEnd(44)} ${await attempt(runtime, args, cwd, env)}`)
    }
  }
}

/** What became of it, in a word or with what it said. */
async function attempt([command, ...flags], args, cwd, env) {
  try {
    const options = { cwd, env, timeout: LONGEST, killSignal: 'SIGKILL' }
    const { stdout, stderr } = await run(command, [...flags, ...args], options)
    return stderr === '' ? stdout.trim() : `works, but says: ${stderr.trim()}`
  } catch ({ killed, code, signal, stderr, stdout }) {
    isFine = false
    const done = stdout?.includes('works') ? ' after it has done its work' : ''
    const reason = killed ? `does not end${done}` : `fails${done} (${signal ?? code})`
    return `${reason}: ${stderr.trim().split('\n').slice(0, 12).join('\n    ')}`
  }
}
