import { InvalidArgumentsException } from '../../errors.js'
import { invalid } from '../../validation.js'
import type { DynamoDbConnection, DynamoDbOptions } from '../../types/main.js'

/** Milliseconds. */
const COMMAND_TIMEOUT = 5_000

/** The longest that a timer can wait; milliseconds. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** What a table can be called, as the service has it. */
const TABLE_NAME = /^(?:[\w.-]{3,255}|arn:\S{1,1020})$/

/** The options after validation. */
export interface DynamoDbSettings {
  connection: DynamoDbConnection
  tableName: string
  createsTable: boolean
  isFencing: boolean
  /** Milliseconds. */
  commandTimeout: number
}

/**
 * @throws InvalidArgumentsException naming the option that can't be used
 */
export function settingsOf(options: DynamoDbOptions): DynamoDbSettings {
  const {
    connection,
    table,
    commandTimeout = COMMAND_TIMEOUT,
    fencing = false,
  } = optionsIn(options, 'options')
  if (typeof (connection as Partial<DynamoDbConnection> | null | undefined)?.send !== 'function') {
    // A client holds credentials, and so may what somebody takes for one: it isn't shown.
    throw new InvalidArgumentsException(
      'Invalid option "connection" of the DynamoDB lock store: expected a DynamoDBClient of @aws-sdk/client-dynamodb, ' +
        `got ${connection === null ? 'null' : typeof connection}`
    )
  }
  const { name, autoCreate = true } = optionsIn(table, 'option "table"')
  if (typeof name !== 'string' || !TABLE_NAME.test(name)) {
    throw refused('table.name', "a table's name (3 to 255 letters, digits, _, - and .)", name)
  }
  if (typeof autoCreate !== 'boolean')
    throw refused('table.autoCreate', 'true or false', autoCreate)
  if (typeof fencing !== 'boolean') throw refused('fencing', 'true or false', fencing)
  const millis = Math.ceil(Number(commandTimeout))
  if (typeof commandTimeout !== 'number' || !(millis > 0 && millis <= LONGEST_TIMEOUT)) {
    throw refused('commandTimeout', 'a positive number of milliseconds', commandTimeout)
  }
  return {
    connection,
    tableName: name,
    createsTable: autoCreate,
    isFencing: fencing,
    commandTimeout: millis,
  }
}

function optionsIn<T extends object>(value: T, name: string): T {
  if (typeof value === 'object' && value !== null) return value
  throw new InvalidArgumentsException(
    `Invalid ${name} of the DynamoDB lock store: expected an object such as ` +
      `{ connection, table: { name: 'locks' } }, got ${value === null ? 'null' : typeof value}`
  )
}

function refused(option: string, wanted: string, value: unknown): InvalidArgumentsException {
  return invalid(`option "${option}" of the DynamoDB lock store`, wanted, value)
}
