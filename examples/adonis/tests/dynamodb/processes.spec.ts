import { test } from '@japa/runner'
import { DynamodbTable } from '#tests/dynamodb_table'
import { Fleet } from '#tests/fleet'
import { testsOfFleet } from '#tests/shared_locks'

test.group('Two servers with locks in DynamoDB', (group) => {
  const table = new DynamodbTable()
  const fleet = new Fleet({
    name: 'dynamodb',
    clear: () => table.clear(),
    async expireIn(key, time) {
      const lock = await table.find(key)
      const now = Date.now()
      await table.setExpiry(key, now + time)
      return lock!.expiresAt - now
    },
  })
  fleet.serve(group)
  group.teardown(() => table.close())
  testsOfFleet(fleet)
})
