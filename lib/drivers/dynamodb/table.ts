import { setTimeout as pause } from 'node:timers/promises'

import {
  CreateTableCommand,
  DescribeTableCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb'

import type { DynamoDbSettings } from './options.js'
import { Call } from './call.js'
import { CLEAN_UP_ATTRIBUTE } from './items.js'
import { isMissingTable, isTableInUse, isUnknownOperation, storageError } from './service_errors.js'

/** Milliseconds between two looks at a table that isn't active yet: at first, and at most. */
const FIRST_PAUSE = 50
const LONGEST_PAUSE = 2_000

/** Milliseconds after which nobody waits for a table any longer. */
const PATIENCE = 300_000

/** What a table can be used in. */
const USABLE = ['ACTIVE', 'UPDATING']
/** What a table leaves by itself. */
const PASSING = ['CREATING', 'DELETING']

/**
 * The table of a store, which is made when it is missing.
 */
export class Table {
  readonly #settings: DynamoDbSettings
  /** The table is there, or is being made. */
  #made: Promise<void> | undefined

  constructor(settings: DynamoDbSettings) {
    this.#settings = settings
  }

  /**
   * Resolves when the table can be used. Goes on when nobody waits any longer; who comes then waits for the same.
   *
   * @throws E_LOCK_STORAGE_ERROR if there will be none
   */
  make(): Promise<void> {
    if (this.#made === undefined) {
      const made = this.#make().finally(() => {
        // It may be dropped again.
        if (this.#made === made) this.#made = undefined
      })
      this.#made = made
      made.catch(() => {})
    }
    return this.#made
  }

  async #make(): Promise<void> {
    const last = performance.now() + PATIENCE
    let isOurs = false
    for (let delay = FIRST_PAUSE; ; delay = Math.min(delay * 2, LONGEST_PAUSE)) {
      const status = await this.#status()
      if (status === undefined) isOurs = (await this.#create()) || isOurs
      else if (USABLE.includes(status)) break
      else if (!PASSING.includes(status)) throw this.#unusable(`it is ${status}`)
      if (performance.now() > last) throw this.#unusable(`it was not active after ${PATIENCE} ms`)
      await pause(delay, undefined, { ref: false })
    }
    if (isOurs) await this.#cleanUpByItself()
  }

  /** Undefined if there is none. */
  async #status(): Promise<string | undefined> {
    const { tableName } = this.#settings
    try {
      const found = await this.#send(() => new DescribeTableCommand({ TableName: tableName }))
      return found.Table?.TableStatus
    } catch (error) {
      if (isMissingTable(error)) return undefined
      throw storageError(error, tableName)
    }
  }

  /** Whether it is ours: others may be making it. */
  async #create(): Promise<boolean> {
    const { tableName } = this.#settings
    try {
      await this.#send(
        () =>
          new CreateTableCommand({
            TableName: tableName,
            KeySchema: [{ AttributeName: 'key', KeyType: 'HASH' }],
            AttributeDefinitions: [{ AttributeName: 'key', AttributeType: 'S' }],
            BillingMode: 'PAY_PER_REQUEST',
          })
      )
      return true
    } catch (error) {
      if (isTableInUse(error)) return false
      throw storageError(error, tableName)
    }
  }

  /** Has DynamoDB delete what expired long ago. Locks don't depend on it. */
  async #cleanUpByItself(): Promise<void> {
    const { tableName } = this.#settings
    try {
      await this.#send(
        () =>
          new UpdateTimeToLiveCommand({
            TableName: tableName,
            TimeToLiveSpecification: { AttributeName: CLEAN_UP_ATTRIBUTE, Enabled: true },
          })
      )
    } catch (error) {
      if (isUnknownOperation(error)) return
      const { message } = storageError(error, tableName)
      process.emitWarning(
        `The table "${tableName}" of the DynamoDB lock store was created, but expired items stay in it: ${message}`,
        { code: 'LOQUET_DYNAMODB_TTL' }
      )
    }
  }

  async #send<Output>(create: Parameters<typeof Call.prototype.send<Output>>[0]): Promise<Output> {
    const { connection, commandTimeout } = this.#settings
    const call = new Call(connection, commandTimeout)
    const timer = setTimeout(() => call.end(), commandTimeout)
    timer.unref()
    try {
      return await call.send(create)
    } finally {
      clearTimeout(timer)
    }
  }

  #unusable(reason: string): Error {
    return storageError(new Error(reason), this.#settings.tableName)
  }
}
