/**
 * Who doesn't get a lock leaves nothing behind in the database.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { databaseStore } from 'loquet/drivers/database'

import { startPostgres } from './servers.js'

const TRIES = 10_000

test.group('Database | contended tries', (group) => {
  group.each.timeout(120_000)

  test('C7: ten thousand refused tries leave no error in the log of Postgres, and no dead row', async ({
    assert,
  }) => {
    const server = await startPostgres({ config: { autovacuum: 'off' } })
    try {
      const store = () => databaseStore({ url: server.url, tableName: 'locks' }).factory()
      const [holder, other] = [new LockFactory(store()), new LockFactory(store())]
      const lock = holder.createLock('k', 600_000)
      assert.isTrue(await lock.acquire())
      await other.createLock('k').acquireImmediately()
      // How many rows were written, dead ones included, and the number of the last transaction that wrote.
      const state = async () => {
        const [row] = await server.query(
          `SELECT pg_relation_size('locks') AS size, pg_current_snapshot()::text AS transactions`
        )
        return row
      }
      const before = await state()
      for (let tried = 0; tried < TRIES; tried += 100) {
        const outcomes = await Promise.all(
          Array.from({ length: 100 }, () => other.createLock('k').acquireImmediately())
        )
        assert.isFalse(outcomes.some(Boolean))
      }
      assert.deepEqual(await state(), before)
      assert.notMatch(server.log(), /ERROR/)
      await lock.release()
    } finally {
      await server.stop()
    }
  })
})
