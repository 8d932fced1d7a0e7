// A MariaDB server on 127.0.0.1 and on a unix socket.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { HOST, startIn } from '../servers/process.mjs'
import { accountFor, DATABASE, DatabaseServer, findProgram, give } from './server.mjs'
import { PASSWORD, runProgram, Template, tlsFiles, USER, writeFor } from './server.mjs'

const MISSING =
  'MariaDB is missing (Debian, Ubuntu: apt-get install mariadb-server); LOQUET_MARIADBD names another mariadbd'

// How the files of the template have been made; a server with other settings couldn't read them. Small, as they are
// copied for each server.
const FILE_SETTINGS = {
  innodb_data_file_path: 'ibdata1:4M:autoextend',
  innodb_log_file_size: '8M',
  innodb_undo_tablespaces: '0',
}

// Nothing survives a power failure: a commit that has been told is in the hands of the system, so it survives when the
// server is killed.
const SETTINGS = {
  ...FILE_SETTINGS,
  innodb_flush_method: 'nosync',
  innodb_flush_log_at_trx_commit: '1',
  innodb_buffer_pool_size: '32M',
  innodb_temp_data_file_path: 'ibtmp1:2M:autoextend',
  max_connections: '200',
  performance_schema: 'OFF',
  bind_address: HOST,
  skip_name_resolve: 'ON',
}

function binary() {
  const named = process.env.LOQUET_MARIADBD
  const found = named ?? findProgram('mariadbd', ['/usr/sbin', '/usr/local/sbin'])
  if (found === undefined || !existsSync(found)) throw new Error(MISSING)
  return found
}

/** The script that makes the system's tables, and what it needs to know. */
function installScript() {
  const base = dirname(dirname(binary()))
  const place = ['scripts', 'bin']
    .map((folder) => join(base, folder, 'mariadb-install-db'))
    .find(existsSync)
  if (place === undefined) throw new Error(MISSING)
  return [place, `--basedir=${base}`]
}

/** As the file of options wants a text. */
function quoted(text) {
  return `"${String(text).replace(/["\\]/g, '\\$&')}"`
}

function optionsFile(settings) {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoted(value)}\n`)
  return `[mariadbd]\n${lines.join('')}`
}

const template = new Template(async (folder) => {
  const account = accountFor('mysql')
  const data = join(folder, 'data')
  const file = writeFor(account, join(folder, 'my.cnf'), optionsFile(SETTINGS))
  const [script, ...where] = installScript()
  await runProgram(
    script,
    [
      ...[`--defaults-file=${file}`, ...where, `--datadir=${data}`, '--skip-test-db'],
      ...['--auth-root-authentication-method=normal', '--skip-log-bin'],
    ],
    { account, cwd: folder }
  )
  // As the server reads them, a statement is a line.
  await runProgram(binary(), [`--defaults-file=${file}`, `--datadir=${data}`, '--bootstrap'], {
    account,
    cwd: folder,
    input: [
      'FLUSH PRIVILEGES;',
      "DELETE FROM mysql.global_priv WHERE User = '';",
      'FLUSH PRIVILEGES;',
      `CREATE DATABASE ${DATABASE} CHARACTER SET utf8mb4;`,
      `CREATE USER '${USER}'@'%' IDENTIFIED BY '${PASSWORD}';`,
      `GRANT ALL ON *.* TO '${USER}'@'%' WITH GRANT OPTION;\n`,
    ].join('\n'),
  })
})

class MariadbServer extends DatabaseServer {
  name = 'MariaDB server'
  protocol = 'mysql'
  signalToEnd = 'SIGTERM'
  #args

  constructor(port, folder, options) {
    super(port, folder, options)
    this.#args = options.args ?? []
  }

  get socketPath() {
    return join(this.folder, 'mariadb.sock')
  }

  command() {
    const file = join(this.folder, 'my.cnf')
    return [binary(), `--defaults-file=${file}`, `--port=${this.port}`, ...this.#args]
  }

  async connect(limit) {
    const { createConnection } = await import('mysql2/promise')
    const connection = await createConnection({
      socketPath: this.socketPath,
      user: this.user,
      password: this.password,
      database: this.database,
      charset: 'utf8mb4',
      connectTimeout: limit,
    })
    connection.on('error', () => {})
    return {
      query: async (sql, values = []) => {
        const [rows] = await connection.query({ sql, values, timeout: limit })
        return rows
      },
      end: async () => connection.destroy(),
    }
  }
}

async function open(port, folder, options) {
  const account = accountFor('mysql')
  give(folder, account)
  await template.copyTo(folder, 'mariadb', account)
  const files = await tlsFiles(folder, account, options)
  const settings = {
    ...SETTINGS,
    datadir: join(folder, 'data'),
    socket: join(folder, 'mariadb.sock'),
    ...(files && { ssl_ca: files.ca, ssl_cert: files.cert, ssl_key: files.key }),
    ...(files && options.tls !== 'optional' && { require_secure_transport: 'ON' }),
    ...options.config,
  }
  writeFor(account, join(folder, 'my.cnf'), optionsFile(settings))
  return new MariadbServer(port, folder, { account, files, args: options.args })
}

export function startMariadb(options = {}) {
  return startIn('mariadb', (port, folder) => open(port, folder, options), {
    port: options.port,
    missing: MISSING,
  })
}
