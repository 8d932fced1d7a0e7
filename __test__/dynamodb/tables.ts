/**
 * Clients and tables of private DynamoDB servers, and what is in them.
 */
import {
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ResourceNotFoundException,
  ScanCommand,
} from '@aws-sdk/client-dynamodb'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { DynamoDBStore } from 'loquet/drivers/dynamodb'
import type { DynamoDbOptions } from 'loquet/types'

import type { FoundLease } from '../faults/storm.js'
import { startDynamoDb } from './servers.js'
import type { DynamoDbServer } from './servers.js'

export type Item = Record<string, AttributeValue>

/** What every client of these tests has; there is no account. */
export const ACCOUNT = {
  region: 'eu-west-1',
  credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'a secret key' },
}

/** A client for a server, or for what stands before it. */
export function clientFor(
  { host, port }: { host: string; port: number },
  options: ConstructorParameters<typeof DynamoDBClient>[0] = {}
): DynamoDBClient {
  return new DynamoDBClient({ endpoint: `http://${host}:${port}`, ...ACCOUNT, ...options })
}

/** A server with a client that the stores of a test share. */
export interface Running {
  server: DynamoDbServer
  client: DynamoDBClient
  stop: () => Promise<void>
}

/**
 * Starts a server.
 *
 * @param name - The name of a table to make at once: what is tested isn't how it comes to be
 */
export async function startRunning(name?: string): Promise<Running> {
  const server = await startDynamoDb()
  const client = clientFor(server)
  if (name !== undefined) await storeOf({ client }, { name }).exists('warm')
  return {
    server,
    client,
    stop: async () => {
      client.destroy()
      await server.stop()
    },
  }
}

let tables = 0

/** A table that no other store uses. */
export function newTable(): string {
  return `locks-${process.pid}-${++tables}`
}

/** A store with locks of its own. */
export function storeOf(
  { client }: Pick<Running, 'client'>,
  { name = newTable(), ...options }: Partial<DynamoDbOptions> & { name?: string } = {}
): DynamoDBStore {
  return new DynamoDBStore({ connection: client, table: { name }, ...options })
}

export async function itemOf(
  client: DynamoDBClient,
  name: string,
  key: string
): Promise<Item | undefined> {
  const Key = { key: { S: key } }
  const { Item } = await client.send(
    new GetItemCommand({ TableName: name, Key, ConsistentRead: true })
  )
  return Item
}

export async function putItem(client: DynamoDBClient, name: string, Item: Item): Promise<void> {
  await client.send(new PutItemCommand({ TableName: name, Item }))
}

/** The locks of a table that have not expired. */
export async function leasesOf(client: DynamoDBClient, name: string): Promise<FoundLease[]> {
  try {
    const { Items = [] } = await client.send(
      new ScanCommand({ TableName: name, ConsistentRead: true })
    )
    return Items.filter(({ expires_at: end }) => !end || Number(end.N) >= Date.now()).map(
      ({ key, owner }) => ({ key: key.S!, owner: owner.S })
    )
  } catch (error) {
    // Nobody has made the table yet.
    if (error instanceof ResourceNotFoundException) return []
    throw error
  }
}
