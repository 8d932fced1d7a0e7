// PgBouncer in front of a PostgreSQL server.
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { HOST, startIn } from '../servers/process.mjs'
import { accountFor, DatabaseServer, findProgram, give, writeFor } from './server.mjs'
import { connectToPostgres } from './postgres.mjs'

const MISSING =
  'PgBouncer is missing (Debian, Ubuntu: apt-get install pgbouncer); LOQUET_PGBOUNCER names another one'

function binary() {
  const named = process.env.LOQUET_PGBOUNCER
  const found = named ?? findProgram('pgbouncer', ['/usr/sbin', '/usr/local/sbin'])
  if (found === undefined || !existsSync(found)) throw new Error(MISSING)
  return found
}

class Pgbouncer extends DatabaseServer {
  name = 'PgBouncer'
  protocol = 'postgres'
  /** At once; SIGINT would wait for the clients. */
  signalToEnd = 'SIGTERM'

  get socketFolder() {
    return this.folder
  }

  command() {
    return [binary(), join(this.folder, 'pgbouncer.ini')]
  }

  connect(limit) {
    return connectToPostgres(this, limit)
  }
}

function open(port, folder, postgres, options) {
  const account = accountFor('postgres')
  give(folder, account)
  const path = (name) => join(folder, name)
  const users = `"${postgres.user}" "${postgres.password.replaceAll('"', '""')}"\n`
  const settings = {
    listen_addr: HOST,
    listen_port: port,
    unix_socket_dir: folder,
    auth_type: 'scram-sha-256',
    auth_file: writeFor(account, path('users'), users),
    pool_mode: options.poolMode ?? 'transaction',
    default_pool_size: 10,
    max_client_conn: 500,
    // A server that comes back is used at once.
    server_login_retry: 1,
    ...options.config,
  }
  const lines = [
    '[databases]',
    `* = host=${postgres.socketFolder} port=${postgres.port}`,
    '[pgbouncer]',
    ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
  ]
  writeFor(account, path('pgbouncer.ini'), `${lines.join('\n')}\n`)
  return new Pgbouncer(port, folder, { account })
}

export function startPgbouncer(postgres, options = {}) {
  return startIn('pgbouncer', (port, folder) => open(port, folder, postgres, options), {
    port: options.port,
    missing: MISSING,
  })
}
