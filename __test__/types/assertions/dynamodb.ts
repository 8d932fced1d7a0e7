/**
 * `loquet/drivers/dynamodb`: what a store in a DynamoDB table is told.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { LockFactory, Verrou, stores } from 'loquet'
import { DynamoDBStore, dynamodbStore } from 'loquet/drivers/dynamodb'
import type * as driver from 'loquet/drivers/dynamodb'
import type {
  DynamoDbConnection,
  DynamoDbOptions,
  DynamoDbTable,
  LockStore,
  StoreFactory,
} from 'loquet/types'
import { check } from './equal.js'
import type { Equal } from './equal.js'

check<Equal<Parameters<typeof dynamodbStore>, [options: DynamoDbOptions]>>()
check<Equal<ReturnType<typeof dynamodbStore>, { factory: () => DynamoDBStore }>>()
check<Equal<ConstructorParameters<typeof DynamoDBStore>, [options: DynamoDbOptions]>>()
check<Equal<keyof DynamoDbOptions, 'connection' | 'table' | 'commandTimeout' | 'fencing'>>()
check<Equal<DynamoDbOptions['fencing'], boolean | undefined>>()
check<Equal<keyof DynamoDBStore, keyof LockStore>>()
check<Equal<DynamoDbOptions['connection'], DynamoDbConnection>>()
check<Equal<DynamoDbOptions['commandTimeout'], number | undefined>>()
check<Equal<DynamoDbTable, { name: string; autoCreate?: boolean }>>()
check<Equal<driver.DynamoDbOptions, DynamoDbOptions>>()

/** The app's own client, whatever it does for a living. */
const connection = new DynamoDBClient({})
const table = { name: 'locks' }
const driverOf = dynamodbStore({ connection, table })
export const store: LockStore = new DynamoDBStore({ connection, table, commandTimeout: 1000 })
export const factory: StoreFactory = { driver: driverOf }
export const verrou = new Verrou({ default: 'one', stores: { one: { driver: driverOf } } })
export const locks = new LockFactory(driverOf.factory())
export const provider = stores.dynamodb({ connection, table: { ...table, autoCreate: false } })

// @ts-expect-error A client is needed.
dynamodbStore({ table })
// @ts-expect-error A table has a name.
dynamodbStore({ connection, table: {} })
// @ts-expect-error Milliseconds.
dynamodbStore({ connection, table, commandTimeout: '5s' })
