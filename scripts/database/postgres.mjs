// A PostgreSQL server on 127.0.0.1 and on a unix socket.
import { appendFileSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { LEFTOVERS } from '../servers/keeper.mjs'
import { HOST, startIn } from '../servers/process.mjs'
import { accountFor, DATABASE, DatabaseServer, findProgram, give } from './server.mjs'
import { PASSWORD, runProgram, Template, tlsFiles, USER, writeFor } from './server.mjs'

const MISSING =
  'PostgreSQL is missing (Debian, Ubuntu: apt-get install postgresql); LOQUET_POSTGRES_BIN names a folder with initdb and postgres'

// When a server is killed, a small segment of System V shared memory stays behind; its id is in its lock file.
const REMOVE_SHARED_MEMORY = `
id=$(sed -n 7p data/postmaster.pid | awk '{ print $2 }')
test -n "$id" && ipcrm -m "$id"
`

// Nothing survives a power failure: a commit that has been told is in the hands of the system, so it survives when the
// server is killed. Shared memory is in the folder, which goes with the server.
const SETTINGS = {
  listen_addresses: HOST,
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  shared_buffers: '16MB',
  dynamic_shared_memory_type: 'mmap',
  max_wal_size: '64MB',
  log_line_prefix: '%m [%p] ',
}

function debianFolders() {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return []
  const versions = readdirSync(root).sort((one, other) => Number(other) - Number(one))
  return versions.map((version) => join(root, version, 'bin'))
}

function binary(name) {
  const folder = process.env.LOQUET_POSTGRES_BIN
  const found = folder ? join(folder, name) : findProgram(name, debianFolders())
  if (found === undefined || !existsSync(found)) throw new Error(MISSING)
  return found
}

/** As postgresql.conf wants a text. */
function quoted(text) {
  return `'${String(text).replaceAll("'", "''")}'`
}

const template = new Template(async (folder) => {
  const account = accountFor('postgres')
  const data = join(folder, 'data')
  const passwordFile = writeFor(account, join(folder, 'password'), PASSWORD)
  await runProgram(
    binary('initdb'),
    [
      ...['-D', data, '-U', USER, '--auth=scram-sha-256', `--pwfile=${passwordFile}`],
      ...['--no-sync', '--encoding=UTF8', '--locale=C', '--wal-segsize=1'],
    ],
    { account, cwd: folder }
  )
  await runProgram(binary('postgres'), ['--single', '-D', data, '-F', 'postgres'], {
    account,
    cwd: folder,
    input: `CREATE DATABASE ${DATABASE}\n`,
  })
})

/** A connection over the unix socket of a server, or of what stands before one. */
export async function connectToPostgres(server, limit) {
  const { default: pg } = await import('pg')
  const client = new pg.Client({
    host: server.socketFolder,
    port: server.port,
    user: server.user,
    password: server.password,
    database: server.database,
    connectionTimeoutMillis: limit,
    query_timeout: limit,
  })
  // A connection that breaks rejects the query; without one, nobody asked.
  client.on('error', () => {})
  await client.connect()
  return {
    query: async (sql, params = []) => {
      const { rows } = await client.query(sql, params)
      return rows
    },
    end: async () => {
      // A server that is paused doesn't say good-bye.
      const timer = setTimeout(() => client.connection.stream.destroy(), limit)
      await client.end().catch(() => {})
      clearTimeout(timer)
    },
  }
}

class PostgresServer extends DatabaseServer {
  name = 'PostgreSQL server'
  protocol = 'postgres'
  /** It doesn't wait for clients to leave. */
  signalToEnd = 'SIGINT'
  #args

  constructor(port, folder, options) {
    super(port, folder, options)
    this.#args = options.args ?? []
  }

  get socketFolder() {
    return this.folder
  }

  command() {
    const data = join(this.folder, 'data')
    return [binary('postgres'), '-D', data, '-p', this.port, ...this.#args]
  }

  /** At once. It waits for its children, as nobody else might. */
  leave() {
    this.signal('SIGQUIT')
  }

  connect(limit) {
    return connectToPostgres(this, limit)
  }
}

async function open(port, folder, options) {
  const account = accountFor('postgres')
  give(folder, account)
  await template.copyTo(folder, 'postgres', account)
  const files = await tlsFiles(folder, account, options)
  const settings = {
    ...SETTINGS,
    unix_socket_directories: folder,
    ...(files && { ssl: 'on', ssl_ca_file: files.ca }),
    ...(files && { ssl_cert_file: files.cert, ssl_key_file: files.key }),
    ...options.config,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoted(value)}\n`)
  appendFileSync(join(folder, 'data', 'postgresql.conf'), lines.join(''))
  const certificate = options.requireClientCertificate ? ' clientcert=verify-ca' : ''
  const kind = options.tls && options.tls !== 'optional' ? 'hostssl' : 'host'
  writeFor(
    account,
    join(folder, 'data', 'pg_hba.conf'),
    `local all all scram-sha-256\n${kind} all all ${HOST}/32 scram-sha-256${certificate}\n`
  )
  writeFileSync(join(folder, LEFTOVERS), REMOVE_SHARED_MEMORY)
  return new PostgresServer(port, folder, { account, files, args: options.args })
}

export function startPostgres(options = {}) {
  return startIn('postgres', (port, folder) => open(port, folder, options), {
    port: options.port,
    missing: MISSING,
  })
}
