/**
 * Public types of the DynamoDB store.
 */

/**
 * What the store needs of a client. The `DynamoDBClient` of `@aws-sdk/client-dynamodb` has it.
 */
export interface DynamoDbConnection {
  send(command: object, options?: object): Promise<unknown>
}

/**
 * The table that holds the locks.
 */
export interface DynamoDbTable {
  /** Its name (3 to 255 letters, digits, `_`, `-`, `.`) or its ARN. */
  name: string

  /**
   * Create the table when it is missing: with the first lock, not before, billed by request.
   *
   * @default true
   */
  autoCreate?: boolean
}

/**
 * Options of a store that keeps its locks in a DynamoDB table.
 */
export interface DynamoDbOptions {
  /** A client of the app: the `DynamoDBClient` of `@aws-sdk/client-dynamodb`. It is neither changed nor destroyed. */
  connection: DynamoDbConnection

  /** The table that holds the locks. */
  table: DynamoDbTable

  /**
   * How long a call may take, all retries included; it then rejects with E_LOCK_STORAGE_ERROR. Milliseconds.
   *
   * @default 5_000
   */
  commandTimeout?: number

  /**
   * Whether locks bear fencing tokens unless they say otherwise. The item of a fenced lock stays for a week after its
   * release.
   *
   * @default false
   */
  fencing?: boolean
}
