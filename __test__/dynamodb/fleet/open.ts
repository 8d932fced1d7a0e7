/**
 * Opens stores on DynamoDB for the members of a fleet.
 */
import type { LockStore } from 'loquet/types'

import type { Peer, Way } from '../../fleet/orders.js'
import { clientFor } from '../tables.js'

/** Where a table is. */
export interface DynamoDbWay {
  server: { host: string; port: number }
  name: string
}

/** What a member is told. */
export function wayTo({ server: { host, port }, name }: DynamoDbWay): Way {
  return { opener: 'dynamodb/fleet/open.ts', settings: { server: { host, port }, name } }
}

export async function openStore(
  peer: Peer,
  { server, name }: DynamoDbWay
): Promise<{ store: LockStore; close: () => void }> {
  const connection = clientFor(server)
  const close = () => connection.destroy()
  const { dynamodbStore } =
    peer === 'verrou'
      ? await import('@verrou/core/drivers/dynamodb')
      : await import('loquet/drivers/dynamodb')
  return { store: dynamodbStore({ connection, table: { name } }).factory() as LockStore, close }
}
