// One Redis server on 127.0.0.1, in a temporary folder.
import { join } from 'node:path'

import { HOST, ServerProcess, startIn, until } from '../servers/process.mjs'
import { print, request } from './resp.mjs'

export { HOST, until }

/** Another binary, say of another version, may be named. Sentinels are the same binary. */
const BINARY = process.env.LOQUET_REDIS_SERVER ?? 'redis-server'

export class Server extends ServerProcess {
  name = 'Redis server'
  #argv

  constructor(port, folder, options) {
    super(port, folder)
    this.password = options.password
    this.path = options.unixSocket ? join(folder, 'redis.sock') : undefined
    this.tls = options.tls
    const credentials = this.password ? `:${encodeURIComponent(this.password)}@` : ''
    this.url = `${this.tls ? 'rediss' : 'redis'}://${credentials}${HOST}:${port}`
    this.#argv = options.argv(this)
  }

  command() {
    return [BINARY, ...this.#argv]
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

  /** @param mayLoad - Don't wait until it has read its data */
  async answers(pid, { mayLoad = false }) {
    try {
      const [text] = await request(this.#address, [['INFO']], { limit: 1000 })
      return text.includes(`process_id:${pid}\r\n`) && (mayLoad || !text.includes('loading:1'))
    } catch {
      return false
    }
  }

  async leave() {
    // The connection breaks instead of an answer. A server that is overloaded or refuses is killed.
    await request(this.#address, [['SHUTDOWN', 'NOSAVE']], { limit: 2000 }).catch(() => {})
  }

  get #address() {
    return { host: HOST, port: this.port, password: this.password, tls: this.tls }
  }
}

/**
 * Starts a server.
 *
 * @param options - `argv` makes the arguments for a server that knows its port and folder; `port` is taken unless it
 * has to be any free one; `password`, `unixSocket`, `tls` as the class has them
 */
export function startServer(options) {
  return startIn('redis', (port, folder) => new Server(port, folder, options), {
    port: options.port,
    missing: `${BINARY} is missing: install Redis (Debian, Ubuntu: apt-get install redis-server)`,
  })
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
