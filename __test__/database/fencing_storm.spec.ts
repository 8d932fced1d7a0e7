/**
 * Fencing tokens of processes that are killed, on databases that are killed too, with a table in the same database that
 * refuses what is out of date.
 */
import { test } from '@japa/runner'

import { makeTable } from '../fleet/fencing/storage.js'
import { KEYS, STORM_TIMEOUT, tokenStorm } from '../fleet/fencing/storm.js'
import { DOWN, withFleetOn } from '../fleet/scenarios.js'
import { BACKENDS, TABLE } from './backends.js'
import { wayTo } from './fleet/open.js'
import type { DatabaseWay } from './fleet/open.js'

/** Errors of a table of reports whose server is gone, as the clients call them. */
const TABLE_DOWN = [
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'PROTOCOL_CONNECTION_LOST', 'KnexTimeoutError'],
  ...['57P01', '57P02', '57P03', 'ER_SERVER_SHUTDOWN', 'Error'],
]

const CASES: [title: string, backend: keyof typeof BACKENDS, kind: DatabaseWay['kind']][] = [
  ['Postgres', 'Postgres', 'options'],
  ['MariaDB', 'MariaDB', 'options'],
  ['SQLite', 'SQLite, WAL', 'options'],
  ['knex, MariaDB', 'MariaDB', 'proxy'],
  ['Kysely, Postgres', 'Postgres', 'kysely'],
  ['Kysely, SQLite', 'SQLite, WAL', 'kysely'],
]

for (const [title, backend, kind] of CASES) {
  test.group(`fencing storm | ${title}`, () => {
    test('C2: tokens grow, and no storage that compares them accepts what is out of date', async ({
      assert,
    }) => {
      await withFleetOn(BACKENDS[backend], async (fleet, { config, server }, random) => {
        await makeTable(config, KEYS)
        // Many tasks write at once, where each may have to wait for the disk.
        const way = wayTo({ kind, config, tableName: TABLE, commandTimeout: 20_000 })
        await tokenStorm(assert, fleet, random, {
          ...(kind !== 'options' && { few: 1_000 }),
          order: {
            ...{ way, work: { kind: 'write', table: config } },
            // Where they have to ask again and again, few do, and seldom.
            ...(kind === 'options'
              ? { delay: 20 }
              : { delay: 50, tasks: 14, keys: KEYS.slice(0, 32) }),
          },
          ...(server !== undefined && {
            errors: [...DOWN, ...TABLE_DOWN],
            async restart() {
              await server.kill()
              await server.restart()
            },
          }),
        })
      })
    }).timeout(STORM_TIMEOUT)
  })
}
