import { sample, sampleAs } from '../program.js'
import type { Program } from '../program.js'
import { ASSERT } from './surroundings.js'

const PAGE = 'docs/fencing.md'

export const fencing: Record<string, Program> = {
  'Fencing: a storage that refuses old holders': {
    parts: [
      ASSERT,
      sample(`${PAGE}#a-storage-that-refuses-what-is-out-of-date`),
      `await database.query("INSERT INTO reports (name) VALUES ('sales'), ('stock')")
      const bodyOf = async (name: string) => {
        const { rows } = await database.query('SELECT body FROM reports WHERE name = $1', [name])
        return rows[0].body as string
      }

      // It is suspended, say, until its lease is over and the next one has written.
      const suspended = verrou.createLock('report.sales', 500)
      assert.equal(await suspended.acquire(), true)
      await writeReport('sales', 'a draft', suspended.fencingToken)
      await writeReport('sales', 'a better draft', suspended.fencingToken)
      await makeReport('sales', async () => 'the latest')
      await assert.rejects(
        () => writeReport('sales', 'out of date', suspended.fencingToken),
        /later holder/
      )
      assert.equal(await bodyOf('sales'), 'the latest')

      const unfenced = verrou.createLock('report.stock', '10s', { fencing: false })
      assert.equal(await unfenced.acquire(), true)
      await assert.rejects(() => writeReport('stock', 'by whom?', unfenced.fencingToken), /fenced/)
      await unfenced.release()
      assert.equal(await bodyOf('stock'), '')

      await verrou.close()
      await database.query('DROP TABLE reports')
      await database.end()`,
    ],
    servers: ['redis', 'postgres'],
    env: ({ postgres }) => ({ DATABASE_URL: postgres }),
  },

  // It is run on each kind of database by the tests of AdonisJS apps.
  'Fencing: the migration of an AdonisJS app': {
    parts: [sample(`${PAGE}#the-table-of-the-tokens:2`)],
  },

  'Fencing: the table of the tokens': {
    parts: [
      `${ASSERT}
      import { Kysely, PostgresDialect } from 'kysely'
      import { LockFactory } from 'loquet'
      import { kyselyStore } from 'loquet/drivers/kysely'
      import pg from 'pg'`,
      sampleAs('creation', `${PAGE}#the-table-of-the-tokens`),
      sampleAs('cleanUp', `${PAGE}#the-table-of-the-tokens:3`),
      `const pool = new pg.Pool({ connectionString: process.env.POSTGRES_URL })
      await pool.query(creation)
      await pool.query('CREATE TABLE locks (key varchar(255) PRIMARY KEY, owner varchar(255) NOT NULL, expiration bigint)')
      const connection = new Kysely<object>({ dialect: new PostgresDialect({ pool }) })
      const options = { connection, tableName: 'locks', autoCreateTable: false, fencing: true }
      const locks = new LockFactory(kyselyStore(options).factory())
      for (const key of ['forgotten', 'held for long', 'recent']) await locks.createLock(key).run(() => {})
      const held = locks.createLock('held for long', null)
      await held.acquire()
      await pool.query("UPDATE locks_fencing SET token = token - 8 * 86400000000 WHERE key <> 'recent'")
      await pool.query(cleanUp)
      const { rows } = await pool.query('SELECT key FROM locks_fencing ORDER BY key')
      assert.deepEqual(rows.map(({ key }) => key), ['held for long', 'recent'])
      await held.release()
      const again = locks.createLock('held for long')
      await again.acquire()
      assert.equal(again.fencingToken! > held.fencingToken!, true)
      await pool.query('DROP TABLE locks, locks_fencing')
      await connection.destroy()`,
    ],
    servers: ['postgres'],
  },
}
