/**
 * The table's life: made when it is missing, by several at once, and not where that isn't wanted.
 */
import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
} from '@aws-sdk/client-dynamodb'
import { test } from '@japa/runner'
import { E_LOCK_STORAGE_ERROR, Verrou } from 'loquet'
import { dynamodbStore } from 'loquet/drivers/dynamodb'

import { rejectionOf, until } from '../unit/observe.js'
import { refusal, reply, scripted } from './scripted.js'
import type { Script } from './scripted.js'
import { startDynamoDb } from './servers.js'
import type { DynamoDbServer } from './servers.js'
import { clientFor, newTable, storeOf } from './tables.js'

/** How long the server takes to make a table; milliseconds. */
const MAKING = 400

const passing: Script = ({ operation, pass }) =>
  operation === 'UpdateTimeToLive' ? Promise.resolve(reply(200, {})) : pass()

test.group('DynamoDB | table', (group) => {
  let server: DynamoDbServer
  group.setup(async () => {
    server = await startDynamoDb({ createTableMillis: MAKING })
    return () => server.stop()
  })

  test('it is made with the first lock, billed by request, and its clean-up is switched on', async ({
    assert,
  }) => {
    const { client, sent, operations } = scripted(passing, { server })
    const name = newTable()
    const store = storeOf({ client }, { name })
    const { factory } = dynamodbStore({ connection: client, table: { name } })
    new Verrou({ default: 'one', stores: { one: { driver: { factory } } } }).createLock('key')
    assert.deepEqual(sent, [])

    assert.isTrue(await store.save('key', 'me', 60_000))
    const created = sent.find(({ operation }) => operation === 'CreateTable')!
    assert.deepEqual(created.input, {
      TableName: name,
      KeySchema: [{ AttributeName: 'key', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'key', AttributeType: 'S' }],
      BillingMode: 'PAY_PER_REQUEST',
    })
    const cleaned = sent.find(({ operation }) => operation === 'UpdateTimeToLive')!
    assert.deepEqual(cleaned.input, {
      TableName: name,
      TimeToLiveSpecification: { AttributeName: 'delete_after', Enabled: true },
    })
    // From then on it is a request each.
    const before = operations().length
    await store.delete('key', 'me')
    assert.isTrue(await store.save('key', 'me', 60_000))
    assert.isTrue(await store.exists('key'))
    await store.extend('key', 'me', 60_000)
    assert.deepEqual(operations().slice(before), [
      'DeleteItem',
      'UpdateItem',
      'GetItem',
      'UpdateItem',
    ])
    assert.isTrue(sent.at(-2)!.input.ConsistentRead)
  })

  test('where it is there nothing is asked of it', async ({ assert }) => {
    const name = newTable()
    await storeOf({ client: clientFor(server) }, { name }).exists('warm')
    const { client, operations } = scripted(passing, { server })
    assert.isTrue(await storeOf({ client }, { name }).save('key', 'me', 60_000))
    assert.deepEqual(operations(), ['UpdateItem'])
  })

  test('C1: many make it at once, each with a client of its own, and one gets the lock', async ({
    assert,
  }) => {
    const name = newTable()
    const tries = Array.from({ length: 8 }, (_, at) =>
      storeOf({ client: clientFor(server) }, { name }).save('key', `owner ${at}`, 60_000)
    )
    const granted = await Promise.all(tries)
    assert.lengthOf(granted.filter(Boolean), 1)
  })

  test('C22: the call ends in time while it is being made, and who comes later uses it', async ({
    assert,
  }) => {
    const name = newTable()
    const client = clientFor(server)
    const store = storeOf({ client }, { name, commandTimeout: 100 })
    const error = await rejectionOf(store.save('key', 'me', 60_000))
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    await until(async () => {
      const { Table } = await client.send(new DescribeTableCommand({ TableName: name }))
      return Table?.TableStatus === 'ACTIVE'
    })
    const patient = storeOf({ client }, { name })
    assert.isFalse(await patient.exists('key'))
    assert.isTrue(await patient.save('key', 'me', 60_000))
  })

  test('one that is being made by somebody else is waited for', async ({ assert }) => {
    const { client, operations } = scripted(passing, { server })
    const name = newTable()
    await clientFor(server).send(
      new CreateTableCommand({
        TableName: name,
        KeySchema: [{ AttributeName: 'key', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'key', AttributeType: 'S' }],
        BillingMode: 'PAY_PER_REQUEST',
      })
    )
    assert.isTrue(await storeOf({ client }, { name }).save('key', 'me', 60_000))
    assert.notInclude(operations(), 'CreateTable')
    // It isn't ours.
    assert.notInclude(operations(), 'UpdateTimeToLive')
  })

  test('one that is dropped is made again, once it is gone', async ({ assert }) => {
    const { client } = scripted(passing, { server })
    const name = newTable()
    const store = storeOf({ client }, { name })
    assert.isTrue(await store.save('key', 'me', 60_000))
    await client.send(new DeleteTableCommand({ TableName: name }))
    assert.isTrue(await store.save('key', 'you', 60_000))
  })

  test('with autoCreate: false nothing is made, and the error says what to do', async ({
    assert,
  }) => {
    const { client, operations } = scripted(passing, { server })
    const name = newTable()
    const store = storeOf({ client }, { table: { name, autoCreate: false } })
    for (const call of [
      () => store.save('key', 'me', 1000),
      () => store.exists('key'),
      () => store.delete('key', 'me'),
      () => store.extend('key', 'me', 1000),
      () => store.forceDelete('key'),
    ]) {
      const error = await rejectionOf(call())
      assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
      assert.include(error.message, `the table "${name}" doesn't exist`)
      assert.include(error.message, 'table.autoCreate')
      assert.equal(error.cause.name, 'ResourceNotFoundException')
    }
    assert.notInclude(operations(), 'CreateTable')
  })

  test('who may not make it is told so; locks do not need the clean-up', async ({ assert }) => {
    const denied = 'User: arn:aws:iam::1:user/app is not authorized to perform'
    const denying = (denies: string): Script => {
      return async (met) =>
        met.operation === denies ? refusal('AccessDeniedException', denied) : passing(met)
    }
    for (const operation of ['DescribeTable', 'CreateTable']) {
      const { client } = scripted(denying(operation), { server })
      const error = await rejectionOf(storeOf({ client }).save('key', 'me', 1000))
      assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
      assert.match(error.message, /denies access to the table .*docs\/dynamodb\.md/)
    }

    const warnings: (Error & { code?: string })[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on('warning', listen)
    const { client } = scripted(denying('UpdateTimeToLive'), { server })
    assert.isTrue(await storeOf({ client }).save('key', 'me', 1000))
    await until(() => warnings.some(({ code }) => code === 'LOQUET_DYNAMODB_TTL'))
    process.off('warning', listen)
  })
})
