import { sample, sampleAs } from '../program.js'
import type { Addresses, Program } from '../program.js'
import { ASSERT, USE, bootApp } from './surroundings.js'

const PAGE = 'docs/dynamodb.md'

/** How the SDK is told of another service than AWS's, without a change to the code. */
const env = ({ dynamodb }: Addresses) => ({
  AWS_ENDPOINT_URL: dynamodb,
  AWS_REGION: 'eu-west-1',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
})

export const dynamodb: Record<string, Program> = {
  'DynamoDB: config/lock.ts': {
    parts: [
      `${ASSERT}
      import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
      import { defineConfig, stores } from '@adonisjs/lock'
      const env = { get: (_: 'LOCK_STORE') => 'dynamodb' as const }`,
      sample(`${PAGE}#locks-in-dynamodb`),
      `const lock = lockConfig
      ${bootApp()}
      ${USE}
      await app.terminate()`,
    ],
    servers: ['dynamodb'],
    env,
  },

  'DynamoDB: a client': {
    parts: [
      ASSERT,
      sample(`${PAGE}#locks-in-dynamodb:2`),
      `const locks = verrou
      ${USE}
      await verrou.close()
      connection.destroy()`,
    ],
    servers: ['dynamodb'],
    env,
  },

  'DynamoDB: the table of the template': {
    parts: [
      `${ASSERT}
      import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
      import type { CreateTableCommandInput } from '@aws-sdk/client-dynamodb'
      import { Verrou } from 'loquet'
      import { dynamodbStore } from 'loquet/drivers/dynamodb'`,
      sampleAs('template', `${PAGE}#the-table`),
      `const { TimeToLiveSpecification: _, ...properties } = JSON.parse(template).Properties
      const connection = new DynamoDBClient({})
      const input: CreateTableCommandInput = { ...properties, TableName: 'by-template' }
      await connection.send(new CreateTableCommand(input))
      const locks = new Verrou({
        default: 'dynamodb',
        stores: {
          dynamodb: {
            driver: dynamodbStore({ connection, table: { name: 'by-template', autoCreate: false } }),
          },
        },
      })
      // The table is there a little later.
      const isThere = () => locks.createLock('any').isLocked().then(() => true, () => false)
      while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, 10))
      ${USE}
      connection.destroy()`,
    ],
    servers: ['dynamodb'],
    env,
  },
}
