/**
 * Fencing tokens of one table, over native connections and over the app's own client in turn.
 */
import { test } from '@japa/runner'
import { DatabaseStore } from 'loquet/drivers/database'
import { KnexAdapter, knexStore } from 'loquet/drivers/knex'

import { KINDS, startDatabase } from './knexes.js'

for (const kind of KINDS) {
  test(`tokens grow over native connections and the app's own in turn | ${kind}`, async ({
    assert,
  }) => {
    const database = await startDatabase(kind)
    const connection = database.connect({ pool: { min: 0, max: 2 } })
    try {
      // One name that leaves room for the ending of the other table's, and one that doesn't.
      for (const tableName of ['locks', 't'.repeat(60)]) {
        const stores = [
          knexStore({ connection, tableName }).factory(),
          new DatabaseStore(new KnexAdapter(connection), { tableName }),
        ]
        const keys = ['k', 'x'.repeat(300), 'Key ']
        for (const key of keys) {
          let last = 0n
          for (let round = 0; round < 6; round++) {
            const store = stores[round % 2]
            const token = (await store.saveFenced(key, `owner ${round}`, 60_000)) as bigint
            assert.isTrue(token > last, `${token} after ${last}, round ${round} of ${key}`)
            last = token
            assert.isFalse(await stores[(round + 1) % 2].saveFenced(key, 'other', 60_000))
            await store.delete(key, `owner ${round}`)
          }
        }
      }
      assert.lengthOf(await connection('locks_fencing'), 3)
    } finally {
      await connection.destroy()
      await database.stop()
    }
  })
}
