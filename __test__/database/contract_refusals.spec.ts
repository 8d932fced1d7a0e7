/**
 * C21, C22 on databases: those that are read-only, slow, locked by somebody else, full of connections, without the table.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { test } from '@japa/runner'
import { databaseStore } from 'loquet/drivers/database'
import { LockFactory } from 'loquet'

import {
  assertAllFail,
  assertStorageError,
  assertUsable,
  COMMAND_TIMEOUT,
  giveBack,
  insist,
  NO_POLL,
} from '../contract/outage.js'
import { isPending, sleep, until } from '../unit/observe.js'
import { BACKENDS, openFactory, TABLE } from './backends.js'
import type { Backend } from './backends.js'
import { startPostgres } from './servers.js'

async function withBackend(
  title: keyof typeof BACKENDS,
  run: (backend: Backend) => Promise<void>
): Promise<void> {
  const backend = await BACKENDS[title]()
  try {
    await run(backend)
  } finally {
    await backend.stop()
  }
}

/** Another process that has the file for itself, until its standard input ends. */
async function lockFile(filename: string): Promise<{ release: () => Promise<void> }> {
  const module = import.meta.resolve('better-sqlite3')
  const source = `
    import Database from '${module}'
    const database = new Database(${JSON.stringify(filename)})
    database.exec('BEGIN EXCLUSIVE; INSERT INTO app VALUES (1)')
    console.log('locked')
    process.stdin.on('end', () => { database.exec('COMMIT'); process.exit() }).resume()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  await once(child.stdout, 'data')
  return {
    release: async () => {
      child.stdin.end()
      await exit
    },
  }
}

test.group('Database refusals | read-only', () => {
  test('C22: a server that has become read-only takes no locks, and does once it is not', async ({
    assert,
  }) => {
    for (const [title, on, off] of [
      [
        'Postgres',
        ['ALTER SYSTEM SET default_transaction_read_only = on', 'SELECT pg_reload_conf()'],
        [
          'BEGIN READ WRITE; ALTER SYSTEM SET default_transaction_read_only = off; COMMIT',
          'SELECT pg_reload_conf()',
        ],
      ],
      ['MariaDB', ['SET GLOBAL read_only = ON'], ['SET GLOBAL read_only = OFF']],
    ] as const) {
      await withBackend(title, async ({ server, config }) => {
        if (title === 'MariaDB') {
          // Who may do everything may write all the same.
          await server!.query("CREATE USER app IDENTIFIED BY 'app'")
          await server!.query('GRANT ALL ON loquet.* TO app')
          config = {
            ...config,
            connection: { ...config.connection, user: 'app', password: 'app' },
          }
        }
        const factory = openFactory(config, { commandTimeout: COMMAND_TIMEOUT })
        const held = factory.createLock('held', 60_000)
        await insist(() => held.acquire())
        for (const sql of on) await runAlone(server!, sql)
        await until(async () => {
          const error = await factory
            .createLock('k')
            .acquireImmediately()
            .then(async (granted) => {
              if (granted) await factory.createLock('k').forceRelease()
            })
            // It may become read-only between the two.
            .catch((reason: unknown) => reason)
          return error !== undefined
        })
        const error = await assertStorageError(assert, () => factory.createLock('k').acquire())
        assert.match(`${error.message} ${error.cause}`, /read.only/i)
        await assertStorageError(assert, () => held.release())
        for (const sql of off) await runAlone(server!, sql)
        // It may have been released in the background meanwhile.
        await until(() =>
          held.release().then(
            () => true,
            (reason) => reason.code === 'E_LOCK_NOT_OWNED'
          )
        )
        await assertUsable(assert, factory)
      })
    }
  })
})

async function runAlone(server: NonNullable<Backend['server']>, sql: string): Promise<void> {
  // A server that is read-only by default has to be asked to change that in a session that may.
  const connection = await server.open()
  if (sql.startsWith('BEGIN READ WRITE')) {
    await connection.query('SET default_transaction_read_only = off')
    await connection.query('ALTER SYSTEM SET default_transaction_read_only = off')
  } else await connection.query(sql)
  await connection.end()
}

test.group('Database refusals | somebody else', () => {
  test('C9, C22: the row is locked by a transaction: calls end in time, and nothing is left', async ({
    assert,
  }) => {
    for (const title of ['Postgres', 'MariaDB'] as const) {
      await withBackend(title, async ({ server, config, leases }) => {
        const factory = openFactory(config, { commandTimeout: COMMAND_TIMEOUT })
        const lock = factory.createLock('k', 200)
        await insist(() => lock.acquire())
        const other = await server!.open()
        await other.query('BEGIN')
        const key = title === 'Postgres' ? 'key' : '`key`'
        await other.query(`SELECT * FROM ${TABLE} WHERE ${key} = 'k' FOR UPDATE`)
        await sleep(300)
        // The lease is over, but nobody may write there.
        await assertStorageError(assert, () => factory.createLock('k', 60_000).acquireImmediately())
        await assertStorageError(assert, () => factory.createLock('k', 60_000).acquire())
        // Other keys are none the worse for it.
        await insist((round) => factory.createLock(`another ${round}`).run(() => {}))
        const impatient = factory.createLock('k', 60_000)
        assert.isFalse(await insist(() => impatient.acquire({ retry: { timeout: 100 } })))
        await other.query('COMMIT')
        await other.end()
        await assertUsable(assert, factory)
        const next = factory.createLock('k', 60_000)
        const retry = { timeout: 9000, delay: 20 }
        assert.isTrue(await insist(() => next.acquire({ retry })))
        await giveBack(assert, next)
        await until(async () => {
          const found = await leases()
          return found.length === 0
        })
      })
    }
  })

  test('C22: a statement that the server cuts short is a storage error, with its words', async ({
    assert,
  }) => {
    await withBackend('Postgres', async ({ server, config }) => {
      await server!.query("ALTER DATABASE loquet SET statement_timeout = '300ms'")
      const factory = openFactory(config)
      const lock = factory.createLock('k', 100)
      await lock.acquire()
      const other = await server!.open()
      await other.query('SET statement_timeout = 0')
      await other.query('BEGIN')
      await other.query(`SELECT * FROM ${TABLE} FOR UPDATE`)
      await sleep(150)
      const error = await factory
        .createLock('k', 60_000)
        .acquire()
        .then(
          () => assert.fail(),
          (reason) => reason
        )
      assert.equal(error.code, 'E_LOCK_STORAGE_ERROR')
      assert.match(`${error.message} ${error.cause}`, /statement timeout/)
      await other.query('ROLLBACK')
      await other.end()
      await assertUsable(assert, factory)
    })
  })

  for (const title of ['SQLite, WAL', 'SQLite, rollback journal'] as const) {
    test(`C22: a file that another process has locked: calls end in time (${title})`, async ({
      assert,
    }) => {
      await withBackend(title, async ({ config, leases }) => {
        const factory = openFactory(config, { commandTimeout: COMMAND_TIMEOUT })
        await insist(() => factory.createLock('first').run(() => {}))
        const other = await lockFile(config.connection.filename as string)
        await Promise.all(
          ['a', 'b'].map((key) =>
            assertStorageError(assert, () => factory.createLock(key, 60_000).acquire())
          )
        )
        const impatient = factory.createLock('c', 60_000)
        assert.isFalse(await insist(() => impatient.acquire({ retry: { timeout: 100 } })))
        await other.release()
        await assertUsable(assert, factory)
        await until(async () => {
          const found = await leases()
          return found.length === 0
        })
        await sleep(300)
        assert.deepEqual(await leases(), [])
      })
    })

    test(`C22: … those that may wait so long go through, in order (${title})`, async ({
      assert,
    }) => {
      await withBackend(title, async ({ config, leases }) => {
        const factory = openFactory(config, { commandTimeout: 20_000 })
        const held = factory.createLock('held', 60_000)
        await held.acquire()
        const waiting = openFactory(config, { apart: 1, commandTimeout: 20_000 })
          .createLock('held', 60_000)
          .run(() => 'done', { retry: NO_POLL })
        const other = await lockFile(config.connection.filename as string)
        const calls = [
          held.release(),
          ...['a', 'b', 'c'].map((key) => factory.createLock(key).run(() => {})),
        ]
        await sleep(2500)
        assert.isTrue(await isPending(calls[1]))
        await other.release()
        await Promise.all(calls)
        assert.deepEqual(await waiting, [true, 'done'])
        assert.deepEqual(await leases(), [])
      })
    })
  }
})

test.group('Database refusals | connections and tables', () => {
  test('C22: no connection is left: calls end in time, and it goes on when there are', async ({
    assert,
  }) => {
    const server = await startPostgres({
      config: { max_connections: '6', superuser_reserved_connections: '0' },
    })
    const { host, port, user, password, database } = server
    const config = { client: 'pg' as const, connection: { host, port, user, password, database } }
    const factory = openFactory(config, { commandTimeout: COMMAND_TIMEOUT })
    /** All that are left. */
    const takeConnections = async () => {
      const taken = []
      for (;;) {
        try {
          taken.push(await server.open())
        } catch {
          return taken
        }
      }
    }
    const others = await takeConnections()
    await assertAllFail(assert, factory)
    await Promise.all(others.map((other) => other.end()))
    await assertUsable(assert, factory)
    // With fewer than it would like to have.
    const taken = await takeConnections()
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        insist((round) =>
          factory.createLock(`key ${index}.${round}`).run(() => {}, { retry: { timeout: 10_000 } })
        )
      )
    )
    await Promise.all(taken.map((other) => other.end()))
    await server.stop()
  })

  for (const title of Object.keys(BACKENDS) as (keyof typeof BACKENDS)[]) {
    test(`C21: a table that nobody has made is named, and found once it is there (${title})`, async ({
      assert,
    }) => {
      await withBackend(title, async ({ config }) => {
        const factory = new LockFactory(
          databaseStore({
            ...config,
            tableName: 'no_such_locks',
            autoCreateTable: false,
            commandTimeout: COMMAND_TIMEOUT,
          }).factory()
        )
        const error = await assertStorageError(assert, () => factory.createLock('k').acquire())
        assert.match(error.message, /no_such_locks/)
        const maker = databaseStore({ ...config, tableName: 'no_such_locks' }).factory()
        await maker.exists('k')
        await assertUsable(assert, factory)
      })
    })
  }

  test('C21: a user who may not write, a wrong password, no such database: told without secrets', async ({
    assert,
  }) => {
    for (const title of ['Postgres', 'MariaDB'] as const) {
      await withBackend(title, async ({ server, config }) => {
        const { connection } = config
        await openFactory(config)
          .createLock('k')
          .run(() => {})
        const sql =
          title === 'Postgres'
            ? ["CREATE USER reader PASSWORD 'hunter2'", `GRANT SELECT ON ${TABLE} TO reader`]
            : [
                "CREATE USER reader IDENTIFIED BY 'hunter2'",
                `GRANT SELECT ON loquet.${TABLE} TO reader`,
              ]
        for (const statement of sql) await server!.query(statement)
        const cases = [
          [{ user: 'reader', password: 'hunter2' }, /denied/i],
          [{ user: 'reader', password: 'hunter3' }, /password|denied/i],
          [{ database: 'nowhere' }, /nowhere/],
        ] as const
        for (const [changed, expected] of cases) {
          const factory = openFactory(
            { ...config, connection: { ...connection, ...changed } },
            { commandTimeout: 3000 }
          )
          const error: any = await factory
            .createLock('k')
            .acquire()
            .then(
              () => assert.fail(),
              (reason) => reason
            )
          assert.equal(error.code, 'E_LOCK_STORAGE_ERROR')
          assert.instanceOf(error.cause, Error)
          const shown = `${error.stack} ${error.cause.stack}`
          assert.match(shown, expected)
          assert.notMatch(shown, /hunter/)
        }
      })
    }
  })
})

test.group('Database refusals | full disk', () => {
  test('C21, C22: no room is left for a file: an acquire fails with the cause, and later succeeds', async ({
    assert,
  }) => {
    await withBackend('SQLite, rollback journal', async ({ config, leases }) => {
      const factory = openFactory(config)
      await factory.createLock('first').run(() => {})
      const program = fileURLToPath(
        new URL('../lifecycle/fixtures/server/hold.mjs', import.meta.url)
      )
      const args = [JSON.stringify({ ...config, commandTimeout: COMMAND_TIMEOUT }), 'acquire', 'k']
      // No file may grow beyond a few blocks, and who tries is told instead of killed.
      const limited = `trap '' XFSZ; ulimit -f 4; exec "$@"`
      const child = spawn('sh', ['-c', limited, 'limited', process.execPath, program, ...args])
      let stderr = ''
      child.stderr.on('data', (chunk) => (stderr += chunk))
      const [code] = await once(child, 'close')
      assert.equal(code, 1)
      assert.match(stderr, /E_LOCK_STORAGE_ERROR.*(disk I\/O error|full)/)
      assert.match(stderr, /cause/)
      assert.deepEqual(await leases(), [])
      assert.isTrue(await factory.createLock('k').acquireImmediately())
    })
  })
})
