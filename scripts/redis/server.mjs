// One Redis server on 127.0.0.1: started on a free port, in a temporary folder, killed, paused, started again.
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { makeFolder, removeFolder } from './keeper.mjs'
import { print, request } from './resp.mjs'

/** Another binary, say of another version, may be named. Sentinels are the same binary. */
const BINARY = process.env.LOQUET_REDIS_SERVER ?? 'redis-server'

export const HOST = '127.0.0.1'

/** Milliseconds until what should come about has come about, on a busy machine. */
const LIMIT = 30_000

/** Resolves when `condition` resolves to true. */
export async function until(what, condition) {
  const deadline = Date.now() + LIMIT
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`within ${LIMIT} ms it didn't happen that ${what}`)
    await sleep(20)
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const listener = createServer()
    listener.on('error', () => resolve(false))
    listener.listen(port, HOST, () => listener.close(() => resolve(true)))
  })
}

/**
 * A port that is free, as is the one 10,000 above it (a cluster's nodes talk to each other there). Both are below those
 * that the system gives to outgoing connections: otherwise a client that tries to reach a server which is down could
 * happen to be connected to itself, and keep the server from coming back.
 */
async function findPort() {
  for (;;) {
    const port = 10_500 + Math.floor(Math.random() * 10_000)
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port
  }
}

export class Server {
  host = HOST
  /** Called as soon as the process is gone. */
  #whenGone = () => {}
  #gone = Promise.resolve()
  #process
  #argv

  constructor(port, folder, options) {
    this.port = port
    this.folder = folder
    this.password = options.password
    this.path = options.unixSocket ? join(folder, 'redis.sock') : undefined
    this.tls = options.tls
    const credentials = this.password ? `:${encodeURIComponent(this.password)}@` : ''
    this.url = `${this.tls ? 'rediss' : 'redis'}://${credentials}${HOST}:${port}`
    this.#argv = options.argv(this)
  }

  get pid() {
    return this.#process?.pid
  }

  get isRunning() {
    return this.#process !== undefined
  }

  /** The replies to commands that are sent over one connection. */
  send(...commands) {
    return request(this.#address, commands)
  }

  /** The same, with each byte of a text as one character: for texts that aren't UTF-8. */
  sendForBytes(...commands) {
    return request(this.#address, commands, { encoding: 'latin1' })
  }

  async cli(...args) {
    const [reply] = await this.send(args)
    return print(reply)
  }

  /** The fields of a section of INFO. */
  async info(section) {
    const text = await this.cli('INFO', section)
    return Object.fromEntries(
      text
        .split('\r\n')
        .filter((line) => line.includes(':'))
        .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)])
    )
  }

  /** What the server has logged since it was started first. */
  log() {
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  async start({ mayLoad = false } = {}) {
    const log = openSync(join(this.folder, 'log'), 'a')
    // The process id is there before the server is, so that nothing can be left over.
    const child = spawn('sh', ['-c', 'echo $$ >pid && exec "$@"', 'start', BINARY, ...this.#argv], {
      cwd: this.folder,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    child.unref()
    this.#process = child
    this.#gone = new Promise((resolve) => {
      this.#whenGone = resolve
    })
    child.on('error', () => this.#forget(child))
    child.on('exit', () => this.#forget(child))
    await until('a Redis server answers', async () => {
      if (this.#process !== child) throw new Error(`the Redis server ended:\n${this.log()}`)
      return this.#answers(child.pid, mayLoad)
    })
  }

  async restart(options) {
    if (this.isRunning) await this.kill()
    await this.start(options)
  }

  async kill() {
    // Otherwise nothing might be left that this process waits for.
    this.#process?.ref()
    this.#process?.kill('SIGKILL')
    await this.#gone
  }

  pause() {
    this.#process?.kill('SIGSTOP')
  }

  resume() {
    this.#process?.kill('SIGCONT')
  }

  async stop() {
    this.resume()
    this.#process?.ref()
    // The connection breaks instead of an answer. A server that is overloaded or refuses is killed.
    if (this.isRunning)
      await request(this.#address, [['SHUTDOWN', 'NOSAVE']], { limit: 2000 }).catch(() => {})
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), 2000)
    await this.#gone
    clearTimeout(timer)
    await this.kill()
    await removeFolder(this.folder)
  }

  get #address() {
    return { host: HOST, port: this.port, password: this.password, tls: this.tls }
  }

  /**
   * Whether the server answers, and is the one that was started: the port might have been taken meanwhile.
   *
   * @param mayLoad - Don't wait until it has read its data
   */
  async #answers(pid, mayLoad) {
    try {
      const [text] = await request(this.#address, [['INFO']], { limit: 1000 })
      return text.includes(`process_id:${pid}\r\n`) && (mayLoad || !text.includes('loading:1'))
    } catch {
      return false
    }
  }

  #forget(child) {
    if (this.#process !== child) return
    this.#process = undefined
    rmSync(join(this.folder, 'pid'), { force: true })
    this.#whenGone()
  }
}

/**
 * Starts a server.
 *
 * @param options - `argv` makes the arguments for a server that knows its port and folder; `port` is taken unless it
 * has to be any free one; `password`, `unixSocket`, `tls` as the class has them
 */
export async function startServer(options) {
  for (let attempt = 1; ; attempt++) {
    const folder = makeFolder()
    const server = new Server(options.port ?? (await findPort()), folder, options)
    try {
      await server.start()
      return server
    } catch (error) {
      const log = server.log()
      await server.kill()
      await removeFolder(folder)
      if (/: not found$/m.test(log)) {
        throw new Error(
          `${BINARY} is missing: install Redis (Debian, Ubuntu: apt-get install redis-server)`,
          { cause: error }
        )
      }
      // Somebody else took the port meanwhile.
      if (options.port !== undefined || attempt === 5) throw error
    }
  }
}

/** The arguments that all servers share: nothing is written to the disk, nobody else is let in. */
export function commonArguments(server) {
  return [
    ...['--bind', HOST, '--port', server.port, '--dir', server.folder],
    ...['--save', '', '--appendonly', 'no'],
  ]
}

export function startStandalone(options = {}) {
  const { args = [], port, unixSocket = false, requirepass } = options
  return startServer({
    port,
    unixSocket,
    password: requirepass,
    argv: (server) => [
      ...commonArguments(server),
      ...(unixSocket ? ['--unixsocket', server.path] : []),
      ...(requirepass === undefined ? [] : ['--requirepass', requirepass]),
      ...args,
    ],
  })
}
