import { recognizeCopies } from '../copies.js'
import type { DynamoDbOptions } from '../types/main.js'
import { DynamoDBStore } from './dynamodb/dynamodb_store.js'

export { DynamoDBStore }
export type { DynamoDbConnection, DynamoDbOptions, DynamoDbTable } from '../types/main.js'

recognizeCopies(DynamoDBStore, 'DynamoDBStore')

/**
 * A factory of stores in a DynamoDB table, over a client of the app: `dynamodbStore({ connection, table: { name } })`. What
 * `factory` makes asks nothing of DynamoDB before the first lock.
 *
 * @throws InvalidArgumentsException (when `factory` is called) if the options can't be used
 */
export function dynamodbStore(options: DynamoDbOptions): { factory: () => DynamoDBStore } {
  return { factory: () => new DynamoDBStore(options) }
}
