import { test } from '@japa/runner'
import db from '@adonisjs/lucid/services/db'
import { Fleet } from '#tests/fleet'
import { testsOfFleet } from '#tests/shared_locks'

test.group('Two servers with locks in a database', (group) => {
  const fleet = new Fleet({
    name: 'database',
    clear: () => db.from('locks').delete(),
    async expireIn(key, time) {
      const row = await db.from('locks').where('key', key).firstOrFail()
      const now = Date.now()
      await db
        .from('locks')
        .where('key', key)
        .update({ expiration: now + time })
      return Number(row.expiration) - now
    },
  })
  fleet.serve(group)
  testsOfFleet(fleet)

  test('have connections of their own for their locks', async ({ assert }) => {
    for (const server of fleet.servers) assert.notInclude(server.output, 'own knex')
  })
})
