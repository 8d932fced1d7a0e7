import {
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'

/**
 * The table of the locks, as a client sees it.
 */
export class DynamodbTable {
  #client = new DynamoDBClient({})
  #name = 'locks'

  /**
   * The lock of a key: its owner, and its expiry in milliseconds since the Unix epoch.
   */
  async find(key: string) {
    const { Item: item } = await this.#client.send(
      new GetItemCommand({
        TableName: this.#name,
        Key: { key: { S: key } },
        ConsistentRead: true,
      })
    )
    return item && { owner: item.owner.S, expiresAt: Number(item.expires_at.N) }
  }

  async setExpiry(key: string, expiresAt: number) {
    await this.#client.send(
      new UpdateItemCommand({
        TableName: this.#name,
        Key: { key: { S: key } },
        UpdateExpression: 'SET expires_at = :at',
        ExpressionAttributeValues: { ':at': { N: `${expiresAt}` } },
      })
    )
  }

  async clear() {
    const { Items: items = [] } = await this.#client.send(
      new ScanCommand({ TableName: this.#name })
    )
    for (const { key } of items) {
      await this.#client.send(new DeleteItemCommand({ TableName: this.#name, Key: { key } }))
    }
  }

  close() {
    this.#client.destroy()
  }
}
