import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'

import { test } from '@japa/runner'
import mysql from 'mysql2/promise'
import pg from 'pg'

import { startMariadb, startPgbouncer, startPostgres } from './servers.js'
import type { DatabaseServer } from './servers.js'
import { connect, startOwner, untilGone } from '../lifecycle/server_owner.js'
import { isPending, until } from '../unit/observe.js'

const KINDS = {
  PostgreSQL: { start: startPostgres, sleep: 'SELECT pg_sleep(60)', name: 'startPostgres' },
  MariaDB: { start: startMariadb, sleep: 'SELECT SLEEP(60)', name: 'startMariadb' },
}

/** Segments of shared memory that nobody uses any longer: other servers of this machine come and go. */
function orphanedMemory(): string[] {
  try {
    const [header, ...segments] = readFileSync('/proc/sysvipc/shm', 'utf8').trim().split('\n')
    const users = header.trim().split(/\s+/).indexOf('nattch')
    return segments.filter((segment) => segment.trim().split(/\s+/)[users] === '0')
  } catch {
    return []
  }
}

/** Processes that run in a server's folder. */
function processesIn(folder: string): string {
  const lines = execFileSync('ps', ['-eo', 'stat=,args='], { encoding: 'utf8' }).split('\n')
  return lines.filter((line) => line.includes(folder) && !line.startsWith('Z')).join('\n')
}

/** Logs in over the network. */
async function logIn(server: DatabaseServer, ssl?: { ca?: string }): Promise<unknown> {
  const { host, port, user, password, database } = server
  if (server.url.startsWith('mysql:')) {
    const login = { host, port, user, password, database }
    const connection = await mysql.createConnection({ ...login, ...(ssl && { ssl }) })
    const [rows] = await connection.query('SELECT 1 AS one').finally(() => connection.destroy())
    return rows
  }
  const client = new pg.Client({ connectionString: server.url, ssl })
  await client.connect()
  const { rows } = await client.query('SELECT 1 AS one').finally(() => client.end())
  return rows
}

for (const [title, { start, sleep, name }] of Object.entries(KINDS)) {
  test.group(`Private databases | ${title}`, () => {
    test('it answers, over the network and by its socket', async ({ assert }) => {
      const server = await start()
      assert.deepEqual(await logIn(server), [{ one: 1 }])
      const one = title === 'MariaDB' ? '?' : '$1::int'
      assert.deepEqual(await server.query(`SELECT ${one} AS one`, [1]), [{ one: 1 }])
      await assert.rejects(() => server.query('SELECT nonsense'), /nonsense.*\(SELECT nonsense\)/s)
      await server.stop()
    })

    test('it is killed, started again on the same port with its data, shut down, stopped', async ({
      assert,
    }) => {
      const server = await start()
      await server.query('CREATE TABLE kept (id int)')
      const { pid, port, folder } = server
      const connection = await server.open()
      const sleeping = connection.query(sleep)
      assert.isTrue(await isPending(sleeping))
      await server.query('INSERT INTO kept VALUES (7)')
      await Promise.all([assert.rejects(() => sleeping), server.kill()])
      assert.isFalse(server.isRunning)
      assert.equal(processesIn(folder), '')
      await assert.rejects(() => logIn(server), /ECONNREFUSED/)

      await server.restart()
      assert.equal(server.port, port)
      assert.notEqual(server.pid, pid)
      assert.deepEqual(await server.query('SELECT id FROM kept'), [{ id: 7 }])

      await server.shutDown()
      assert.isFalse(server.isRunning)
      await server.restart()
      await server.restart()
      assert.deepEqual(await server.query('SELECT id FROM kept'), [{ id: 7 }])
      await server.stop()
      assert.isFalse(existsSync(folder))
      assert.equal(processesIn(folder), '')
    })

    test('paused, it does not answer; nothing is lost', async ({ assert }) => {
      const server = await start()
      const connection = await server.open()
      server.pause()
      const [known, unknown] = [connection.query('SELECT 1 AS one'), logIn(server)]
      assert.isTrue(await isPending(known))
      assert.isTrue(await isPending(unknown))
      server.resume()
      assert.deepEqual(await known, [{ one: 1 }])
      assert.deepEqual(await unknown, [{ one: 1 }])
      await connection.end()
      server.pause()
      await server.stop()
      assert.isFalse(existsSync(server.folder))
    })

    test('with TLS it lets nobody in without, unless it is optional', async ({ assert }) => {
      const [server, tolerant] = await Promise.all([
        start({ tls: true }),
        start({ tls: 'optional' }),
      ])
      assert.deepEqual(await logIn(server, { ca: server.ca }), [{ one: 1 }])
      await assert.rejects(() => logIn(server, {}), /self-signed|unable to verify|authority/i)
      await assert.rejects(() => logIn(server), /no encryption|Access denied/)
      assert.deepEqual(await logIn(tolerant, { ca: tolerant.ca }), [{ one: 1 }])
      assert.deepEqual(await logIn(tolerant), [{ one: 1 }])
      await Promise.all([server.stop(), tolerant.stop()])
    })

    test('many of them start at once; one takes the port it is told to', async ({ assert }) => {
      const servers = await Promise.all([start(), start(), start()])
      assert.lengthOf(new Set(servers.map(({ port }) => port)), 3)
      const [{ port }] = servers
      await Promise.all(servers.map((server) => server.stop()))
      const server = await start({ port, config: { max_connections: '23' } })
      assert.equal(server.port, port)
      const [row] = await server.query(
        title === 'MariaDB'
          ? 'SELECT @@max_connections AS max'
          : "SELECT setting AS max FROM pg_settings WHERE name = 'max_connections'"
      )
      assert.equal(row.max, 23)
      await assert.rejects(() => start({ port }), /server ended/)
      await server.stop()
    })

    test('it ends with who started it: {$self}')
      .with(['process.exit(1)', 'await 0'])
      .run(async ({ assert }, then) => {
        const owner = await startOwner(['database/servers.mjs', name], then)
        await owner.exit
        await until(() => !existsSync(owner.folder))
        await untilGone(owner.port)
        assert.equal(processesIn(owner.folder), '')
      })

    test('it ends with who started it: {$self}')
      .with(['SIGKILL', 'SIGTERM'] as const)
      .run(async ({ assert }, signal) => {
        const before = orphanedMemory().length
        const owner = await startOwner(
          ['database/servers.mjs', name],
          'setInterval(() => {}, 1000)'
        )
        await connect(owner.port)
        owner.child.kill(signal)
        await owner.exit
        await until(() => !existsSync(owner.folder))
        await untilGone(owner.port)
        assert.equal(processesIn(owner.folder), '')
        await until(() => orphanedMemory().length <= before)
      })
  })
}

test.group('Private databases | PgBouncer', () => {
  test('it pools transactions, and outlives the server', async ({ assert }) => {
    const server = await startPostgres()
    const pgbouncer = await startPgbouncer(server, { config: { default_pool_size: 1 } })
    assert.deepEqual(await logIn(pgbouncer), [{ one: 1 }])
    const [one, two] = [await pgbouncer.open(), await pgbouncer.open()]
    const pidOf = async (connection: typeof one) => {
      const [{ pid }] = await connection.query('SELECT pg_backend_pid() AS pid')
      return pid
    }
    assert.equal(await pidOf(one), await pidOf(two))
    await one.query('BEGIN')
    const waiting = pidOf(two)
    assert.isTrue(await isPending(waiting))
    await one.query('COMMIT')
    await waiting

    await server.restart()
    await until(() =>
      logIn(pgbouncer).then(
        () => true,
        () => false
      )
    )
    await Promise.all([one.end(), two.end(), pgbouncer.stop(), server.stop()])
    assert.notInclude(readdirSync(tmpdir()).join('\n'), pgbouncer.folder)
  })
})
