/**
 * The config that `configure` writes for DynamoDB, in an app that has the real client: all it needs is in the environment.
 */
import { test } from '@japa/runner'
import { mkdir, readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { bootApp, createAppFolder } from '../adonis/app.js'
import { startDynamoDb } from './servers.js'
import { ACCOUNT, clientFor, leasesOf } from './tables.js'

const STUB = new URL('../../stubs/config/lock.stub', import.meta.url)

/** What the stub says for a store. */
async function configFor(store: string): Promise<string> {
  const stub = await readFile(STUB, 'utf8')
  return stub
    .slice(stub.indexOf('}}}') + 3)
    .replace(/\{\{#if store === '(\w+)'\}\}\n([^]*?)\{\{\/if\}\}\n/g, (_, name, part) =>
      name === store ? part : ''
    )
    .replaceAll('{{ packageName }}', 'loquet')
    .replaceAll('{{ tableName }}', 'locks')
}

test.group('DynamoDB | AdonisJS', () => {
  test('the config that configure writes locks as it is, and makes its table', async ({
    assert,
    test: current,
  }) => {
    const server = await startDynamoDb()
    current.cleanup(() => server.stop())
    const folder = await createAppFolder(current, 'loquet')
    await folder.write('config/lock.ts', await configFor('dynamodb'))
    await folder.write('.env', 'LOCK_STORE=dynamodb')
    const client = dirname(
      createRequire(import.meta.url).resolve('@aws-sdk/client-dynamodb/package.json')
    )
    const modules = join(fileURLToPath(folder.url), 'node_modules', '@aws-sdk')
    await mkdir(modules, { recursive: true })
    await symlink(client, join(modules, 'client-dynamodb'))

    const { accessKeyId, secretAccessKey } = ACCOUNT.credentials
    const environment: Record<string, string> = {
      AWS_REGION: ACCOUNT.region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_ENDPOINT_URL_DYNAMODB: server.endpoint,
    }
    Object.assign(process.env, environment)
    current.cleanup(() => {
      for (const name of [...Object.keys(environment), 'LOCK_STORE']) delete process.env[name]
    })

    const { default: config } = await folder.import('config/lock.ts')
    assert.equal(config.default, 'dynamodb')
    const app = await bootApp(current, config)
    const manager = await app.container.make('lock.manager')
    const lock = manager.createLock('key', '1m')
    assert.isTrue(await lock.acquire())
    assert.deepEqual(await leasesOf(clientFor(server), 'locks'), [
      { key: 'key', owner: lock.getOwner() },
    ])
    assert.isFalse(await manager.createLock('key').acquireImmediately())
    await lock.release()
    assert.deepEqual(await leasesOf(clientFor(server), 'locks'), [])
  })
})
