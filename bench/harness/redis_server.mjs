import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

export const host = '127.0.0.1'

/** Under this name the processes that measure learn the server's port. */
export const portVariable = 'LOQUET_BENCH_REDIS_PORT'

/**
 * The port of the server that the run has started.
 */
export function serverPort() {
  const port = Number(process.env[portVariable])
  if (!port) {
    throw new Error(`There is no server: ${portVariable} isn't set`)
  }
  return port
}

/**
 * The version of the redis-server that would be started; nothing if there is none.
 */
export function serverVersion() {
  const { stdout, status } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
  return status === 0 ? /v=(\S+)/.exec(stdout)?.[1] : undefined
}

/**
 * Starts a server of this run's own, on a free port of the loopback interface and without
 * persistence, and tells its port to the processes that are started afterwards.
 */
export async function startServer() {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'loquet-bench-redis-'))
  const settings = ['--port', `${port}`, '--bind', host, '--dir', folder]
  // The shell waits for the end of its input and then ends the server: so it goes however this
  // process ends, killed included
  const shell = spawn(
    'sh',
    ['-c', '"$@" & server=$!; read -r _; kill $server; wait $server', 'sh', 'redis-server'].concat(
      settings,
      ['--save', '', '--appendonly', 'no', '--loglevel', 'warning']
    ),
    { stdio: ['pipe', 'ignore', 'inherit'], detached: true }
  )
  shell.unref()
  const input = /** @type {import('node:net').Socket} */ (shell.stdin)
  input.unref()
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

  const control = new Redis({ host, port, retryStrategy: () => 20, maxRetriesPerRequest: 250 })
  // Refused until the server listens
  control.on('error', () => {})
  await control.ping()
  process.env[portVariable] = String(port)

  return {
    port,
    /** Back to how it began: no keys, no scripts. */
    clear: async () => {
      await control.flushall()
      await control.script('FLUSH', 'SYNC')
    },
    stop: async () => {
      control.disconnect()
      input.end()
      await Promise.race([new Promise((ended) => shell.once('exit', ended)), sleep(2_000)])
    },
  }
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((found, failed) => {
    const probe = createServer()
    probe.once('error', failed)
    probe.listen(0, host, () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address())
      probe.close(() => found(port))
    })
  })
}

/** A line of MONITOR: when, in which database, who, which command with which argument. */
const MONITORED = /^\+[\d.]+ \[\d+ (\S+?)\] "([^"]*)"(?: "([^"]*)")?/

/**
 * Counts the commands that clients send to the server while `work` runs, by name.
 *
 * By MONITOR: both `INFO commandstats` and `total_commands_processed` count what a script calls as
 * commands too, so a release by script would be three. MONITOR shows these calls with `lua` in place
 * of the client's address. It slows the server down: what is counted isn't timed. On a plain connection, since ioredis takes a command
 * that is shown before it has noticed the beginning for an answer to nothing.
 *
 * @param {number} port
 * @param {() => Promise<unknown>} work
 * @returns {Promise<{ total: number, names: Record<string, number> }>}
 */
export async function countCommands(port, work) {
  const control = new Redis({ host, port })
  const monitor = connect(port, host)
  monitor.write('MONITOR\r\n')
  /** @type {Record<string, number>} */
  const names = {}
  let total = 0
  let counting = false
  /** @type {() => void} */
  let ended = () => {}
  const end = new Promise((resolve) => {
    ended = () => resolve(undefined)
  })
  const lines = createInterface({ input: monitor })
  lines.on('line', (line) => {
    const [, source, command, argument] = MONITORED.exec(line) ?? []
    if (command === undefined) return
    const name = command.toLowerCase()
    if (name === 'echo' && argument === 'loquet-bench:begin') {
      counting = true
    } else if (name === 'echo' && argument === 'loquet-bench:end') {
      counting = false
      ended()
    } else if (counting && source !== 'lua') {
      total++
      names[name] = (names[name] ?? 0) + 1
    }
  })
  // It has been heard once it answers.
  await once(lines, 'line')
  await control.echo('loquet-bench:begin')
  await work()
  // What the work leaves to be done, such as ending a subscription, is its cost too
  await sleep(50)
  await control.echo('loquet-bench:end')
  await end
  monitor.destroy()
  control.disconnect()
  return { total, names }
}
