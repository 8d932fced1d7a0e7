// What private PostgreSQL and MariaDB servers share: an account to run as, a template that is made once and copied.
import { execFile, execFileSync } from 'node:child_process'
import { accessSync, chownSync, constants, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

import { makeCertificates } from '../servers/certificates.mjs'
import { makeFolder } from '../servers/keeper.mjs'
import { HOST, ServerProcess } from '../servers/process.mjs'

export const USER = 'loquet'
export const DATABASE = 'loquet'
/** Not a secret. It needs to be escaped in a URL. */
export const PASSWORD = 'a p@ss/word'

/** Milliseconds until an answer has to be there. A paused server gives none. */
export const LIMIT = 15_000

/** Milliseconds that a program may take which makes the files of a server. */
const LONGEST_RUN = 120_000

/** Finds a program in the PATH, or in folders that aren't in everybody's PATH. */
export function findProgram(name, folders) {
  const path = process.env.PATH ?? ''
  return [...path.split(delimiter), ...folders].map((folder) => join(folder, name)).find(canRun)
}

function canRun(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Who is to run a database: these refuse to be run by root. Its package brings a user of the given name; without one it
 * is nobody.
 *
 * @returns `{ uid, gid }`, undefined where we aren't root
 */
export function accountFor(name) {
  if (process.getuid() !== 0) return undefined
  for (const user of [name, 'nobody']) {
    try {
      const [uid, gid] = ['-u', '-g'].map((flag) =>
        Number(execFileSync('id', [flag, user], { stdio: ['ignore', 'pipe', 'ignore'] }))
      )
      return { uid, gid }
    } catch {
      // There is no such user.
    }
  }
  throw new Error('root may not run a database server, and there is no other user to run it')
}

/** Gives a file or folder to who runs the server. */
export function give(path, account) {
  if (account !== undefined) chownSync(path, account.uid, account.gid)
}

/** Writes a file that only the server may read. */
export function writeFor(account, path, content) {
  writeFileSync(path, content, { mode: 0o600 })
  give(path, account)
  return path
}

/** Runs a program to its end, with a text as its input; rejects with what it has printed if it fails. */
export function runProgram(program, args, { account, input, cwd } = {}) {
  return new Promise((resolve, reject) => {
    const options = { cwd, timeout: LONGEST_RUN, killSignal: 'SIGKILL', ...account }
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stdout}${stderr}`, { cause: error }))
      else resolve(stdout)
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input ?? '')
  })
}

/** Makes the folder that all servers of a kind begin with, when the first of them is started. */
export class Template {
  #make
  #folder

  constructor(make) {
    this.#make = make
  }

  /** Copies it to a folder, with its owners. */
  async copyTo(target, kind, account) {
    this.#folder ??= this.#prepare(kind, account)
    const folder = await this.#folder
    const args = ['-Rp', join(folder, 'data'), target]
    await promisify(execFile)('cp', args, { timeout: LONGEST_RUN })
  }

  async #prepare(kind, account) {
    const folder = makeFolder(`${kind}-template`)
    give(folder, account)
    try {
      await this.#make(folder)
      return folder
    } catch (error) {
      // The next server tries again.
      this.#folder = undefined
      throw error
    }
  }
}

/** The files of a server that talks TLS, made in its folder, and what a client needs. */
export async function tlsFiles(folder, account, { tls, certificates }) {
  if (!tls) return undefined
  const made = certificates ?? (await makeCertificates())
  const write = (name, content) => writeFor(account, join(folder, name), content)
  return {
    certificates: made,
    ca: write('ca.crt', made.ca),
    cert: write('server.crt', made.server.cert),
    key: write('server.key', made.server.key),
  }
}

/**
 * A database server. A kind of them gives, besides what ServerProcess wants,
 *
 * - `protocol`: of its URL;
 * - `connect(limit)`: resolves to `{ query(sql, params), end() }`, over the unix socket in its folder: nobody else's
 *   server can answer there, and no settings of TLS or of the network matter.
 */
export class DatabaseServer extends ServerProcess {
  user = USER
  password = PASSWORD
  database = DATABASE

  constructor(port, folder, { account, files }) {
    super(port, folder, account)
    this.files = files
    this.ca = files?.certificates.ca
    this.certificates = files?.certificates
  }

  get url() {
    const login = `${encodeURIComponent(USER)}:${encodeURIComponent(PASSWORD)}`
    return `${this.protocol}://${login}@${HOST}:${this.port}/${DATABASE}`
  }

  /** The rows of a statement, over a connection of its own. */
  async query(sql, params = []) {
    const connection = await this.connect(LIMIT)
    try {
      return await connection.query(sql, params)
    } catch (error) {
      throw new Error(`${error.message} (${sql})`, { cause: error })
    } finally {
      await connection.end()
    }
  }

  /** A connection that stays until it is ended. */
  open() {
    return this.connect(LIMIT)
  }

  async answers() {
    try {
      const connection = await this.connect(1000)
      await connection.query('SELECT 1', []).finally(() => connection.end())
      return true
    } catch {
      return false
    }
  }

  /** Asks it to end as a service manager does; what it has is kept for `restart`. */
  async shutDown() {
    this.resume()
    this.signal(this.signalToEnd)
    await this.ended()
  }
}
