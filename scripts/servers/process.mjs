// A server on 127.0.0.1 as a process with a folder: started on a free port, killed, paused, started again.
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { makeFolder, removeFolder, removeLeftovers } from './keeper.mjs'

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
 * A port that is free, as is the one 10,000 above it (a Redis cluster's nodes talk to each other there). Both are below
 * those that the system gives to outgoing connections: otherwise a client that tries to reach a server which is down
 * could happen to be connected to itself, and keep the server from coming back.
 */
async function findPort() {
  for (;;) {
    const port = 10_500 + Math.floor(Math.random() * 10_000)
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port
  }
}

function readOrNothing(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** The ids of a process's children. */
function childrenOf(pid) {
  let text = readOrNothing(`/proc/${pid}/task/${pid}/children`)
  if (text === undefined) {
    try {
      text = execFileSync('pgrep', ['-P', pid], { encoding: 'utf8' })
    } catch {
      text = ''
    }
  }
  return text.split(/\s+/).filter(Boolean).map(Number)
}

function signalAll(pids, signal) {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended by itself.
    }
  }
}

/** Whether all threads of a process have stopped, as far as the system tells. */
function isStopped(pid) {
  const tasks = `/proc/${pid}/task`
  try {
    return readdirSync(tasks).every((task) =>
      /\) [TZX] /.test(readOrNothing(`${tasks}/${task}/stat`) ?? ') X ')
    )
  } catch {
    return true
  }
}

/** Whether a process runs, though it may be stopped. One that nobody has asked for its end doesn't. */
function isAlive(pid) {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const state = readOrNothing(`/proc/${pid}/stat`)
  return state === undefined || !/\) [ZX] /.test(state)
}

/**
 * What servers of any kind share. A kind of them gives `name`, what it is called, and
 *
 * - `command()`: the program and its arguments;
 * - `answers(pid, options)`: resolves to whether that very process answers (the port might have been taken meanwhile).
 */
export class ServerProcess {
  host = HOST
  /** Called as soon as the process is gone. */
  #whenGone = () => {}
  #gone = Promise.resolve()
  #process
  #account

  /**
   * @param account - `{ uid, gid }`: who is to run it, if not who runs this
   */
  constructor(port, folder, account) {
    this.port = port
    this.folder = folder
    this.#account = account
  }

  get pid() {
    return this.#process?.pid
  }

  get isRunning() {
    return this.#process !== undefined
  }

  /** What the server has logged since it was started first. */
  log() {
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  async start(options = {}) {
    const log = openSync(join(this.folder, 'log'), 'a')
    // The process id is there before the server is, so that nothing can be left over.
    const script = 'echo $$ >pid && exec "$@"'
    const child = spawn('sh', ['-c', script, 'start', ...this.command()], {
      cwd: this.folder,
      stdio: ['ignore', log, log],
      ...this.#account,
    })
    closeSync(log)
    child.unref()
    this.#process = child
    this.#gone = new Promise((resolve) => {
      this.#whenGone = resolve
    })
    child.on('error', () => this.#forget(child))
    child.on('exit', () => this.#forget(child))
    await until(`a ${this.name} answers`, async () => {
      if (this.#process !== child) throw new Error(`the ${this.name} ended:\n${this.log()}`)
      return this.answers(child.pid, options)
    })
  }

  async restart(options) {
    if (this.isRunning) await this.kill()
    await this.start(options)
  }

  async kill() {
    // Stopped, it can't make others meanwhile.
    const pids = this.#stopAll()
    signalAll(pids, 'SIGKILL')
    await this.ended()
    // They hold on to what it has to find free when it is started again.
    await until(`no process of a ${this.name} is left`, () => !pids.some(isAlive))
  }

  /** When it returns, nothing of the server runs any more. */
  pause() {
    const pids = this.#stopAll()
    const deadline = performance.now() + 1_000
    while (!pids.every(isStopped) && performance.now() < deadline);
  }

  resume() {
    signalAll(this.#family(), 'SIGCONT')
  }

  /** Sends the process a signal, not its children. */
  signal(name) {
    this.#process?.kill(name)
  }

  /** Tells it to end for good: nothing that it has is needed any more. */
  leave() {
    this.signal('SIGKILL')
  }

  /** Resolves when the process is gone. */
  async ended() {
    // Otherwise nothing might be left that this process waits for.
    this.#process?.ref()
    const { pid } = this
    const isGone = await Promise.race([
      this.#gone.then(() => true),
      sleep(LIMIT, false, { ref: false }),
    ])
    if (!isGone) throw new Error(`within ${LIMIT} ms the ${this.name} ${pid} didn't end`)
  }

  /** Ends it, in its own way if it has any, and removes its folder. */
  async stop() {
    this.resume()
    if (this.isRunning) await this.leave()
    const timer = setTimeout(() => this.signal('SIGKILL'), 2000)
    await this.ended()
    clearTimeout(timer)
    await this.kill()
    await removeLeftovers(this.folder)
    await removeFolder(this.folder)
  }

  /** Stops them, and returns their ids. */
  #stopAll() {
    this.signal('SIGSTOP')
    const pids = this.#family()
    signalAll(pids, 'SIGSTOP')
    return pids
  }

  #family() {
    const { pid } = this
    return pid === undefined ? [] : [pid, ...childrenOf(pid)]
  }

  #forget(child) {
    if (this.#process !== child) return
    this.#process = undefined
    rmSync(join(this.folder, 'pid'), { force: true })
    this.#whenGone()
  }
}

/**
 * Starts a server in a folder of its own.
 *
 * @param kind - A word for the folder's name
 * @param open - Makes the ServerProcess (or a promise of it) for a port and a folder
 * @param options - `port` is taken unless it has to be any free one; `missing` is the error's message where the program
 * doesn't exist
 */
export async function startIn(kind, open, options) {
  for (let attempt = 1; ; attempt++) {
    const folder = makeFolder(kind)
    const server = await open(options.port ?? (await findPort()), folder)
    try {
      await server.start()
      return server
    } catch (error) {
      const log = server.log()
      await server.stop()
      if (/: not found$/m.test(log)) throw new Error(options.missing, { cause: error })
      // Somebody else took the port meanwhile.
      if (options.port !== undefined || attempt === 5) throw error
    }
  }
}
