import { sample } from '../program.js'
import type { Program } from '../program.js'
import { ASSERT, USE, bootApp } from './surroundings.js'

/** The work of the samples, which notes what it does. */
const WORK = `
  const done: string[] = []
  const buildReport = async () => void done.push('build')
  const sendReport = async () => void done.push('send')`

const REDLOCK = 'docs/migrating-from-node-redlock.md'

const VERROU = `
  import { Verrou } from 'loquet'
  import { redisStore } from 'loquet/drivers/redis'
  const verrou = new Verrou({
    default: 'redis',
    stores: { redis: { driver: redisStore({ url: process.env.REDIS_URL! }) } },
  })`

export const migrating: Record<string, Program> = {
  'From @adonisjs/lock: the old table': {
    parts: [
      `${ASSERT}
      import knex from 'knex'
      import { defineConfig, stores } from '@adonisjs/lock'
      const client = knex({ client: 'pg', connection: process.env.POSTGRES_URL })
      await client.schema.createTable('verrou', (table) => {
        table.string('key', 255).notNullable().primary()
        table.string('owner').notNullable()
        table.bigint('expiration').unsigned().nullable()
      })`,
      sample('docs/migrating-from-adonisjs-lock.md#what-to-look-for-before'),
      `const lock = lockConfig
      ${bootApp({
        database: `{
          connection: 'postgres',
          connections: { postgres: { client: 'pg', connection: process.env.POSTGRES_URL } },
        }`,
      })}
      ${USE}
      const held = locks.createLock('order.2')
      await held.acquire()
      const rows = await client('verrou').select()
      assert.deepEqual(rows.map(({ key, owner }) => [key, owner]), [['order.2', held.getOwner()]])
      await held.release()
      await app.terminate()
      await client.schema.dropTable('verrou')
      await client.destroy()`,
    ],
    servers: ['postgres'],
  },

  'From @verrou/core: the same code': {
    parts: [
      `${ASSERT}${WORK}`,
      sample('docs/migrating-from-verrou.md#migrating-from-verroucore:2'),
      `assert.equal(executed, true)
      assert.deepEqual(done, ['build'])
      const locks = verrou
      ${USE}
      await verrou.close()
      connection.disconnect()`,
    ],
    addresses: { 'redis://localhost:6379': 'redis' },
  },

  'From node-redlock: with redlock': {
    parts: [
      `${ASSERT}${WORK}`,
      sample(`${REDLOCK}#side-by-side`),
      `assert.deepEqual(done, ['build', 'send'])
      ${VERROU}
      // What the page says of redlock's errors, and that both exclude each other with one Redis server.
      const once = { retryCount: 0 }
      const ours = verrou.createLock('mixed', 5000)
      const theirs = await redlock.acquire(['mixed'], 5000)
      await assert.rejects(redlock.acquire(['mixed'], 5000, once), { name: 'ExecutionError' })
      assert.equal(await ours.acquireImmediately(), false)
      await theirs.release()
      await assert.rejects(theirs.release(), { name: 'ExecutionError' })
      assert.equal(await ours.acquireImmediately(), true)
      assert.equal(await client.get('mixed'), ours.getOwner())
      await assert.rejects(redlock.acquire(['mixed'], 5000, once), { name: 'ExecutionError' })
      await ours.release()
      await verrou.close()
      // It closes the client: otherwise the program wouldn't end.
      await redlock.quit()`,
    ],
    servers: ['redis'],
    addresses: { 'redis://localhost:6379': 'redis' },
  },

  'From node-redlock: with loquet': {
    parts: [
      `${ASSERT}${WORK}`,
      sample(`${REDLOCK}#side-by-side:2`),
      `assert.deepEqual(done, ['build', 'send'])
      await verrou.close()
      client.disconnect()`,
    ],
    addresses: { 'redis://localhost:6379': 'redis' },
  },

  'From node-redlock: using': {
    parts: [
      `${ASSERT}
      import { Redis } from 'ioredis'
      import Redlock from 'redlock'
      const redlock = new Redlock([new Redis(process.env.REDIS_URL!)])
      const files = ['a', 'b']
      const imported: string[] = []
      const importFile = async (file: string) => void imported.push(file)`,
      sample(`${REDLOCK}#using`),
      `assert.deepEqual(imported, files)
      await redlock.quit()`,
    ],
    servers: ['redis'],
  },

  'From node-redlock: run': {
    parts: [
      `${ASSERT}${VERROU}
      const files = ['a', 'b']
      const imported: string[] = []
      const importFile = async (file: string) => void imported.push(file)`,
      sample(`${REDLOCK}#using:2`),
      `assert.deepEqual(imported, files)

      // A step isn't begun once the lock is lost.
      let error: { code?: string } = {}
      await verrou.createLock('import', 5000).run(async (lock) => {
        await verrou.createLock('import').forceRelease()
        while (!lock.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 5))
        lock.signal.throwIfAborted()
        imported.push('in vain')
      }, { autoExtend: true }).catch((reason) => { error = reason })
      assert.equal(error.code, 'E_LOCK_LOST')
      assert.deepEqual(imported, files)
      await verrou.close()`,
    ],
    servers: ['redis'],
  },

  'From node-redlock: several keys': {
    parts: [
      `${ASSERT}${VERROU}
      const transfers: number[][] = []
      let underWay = 0
      const transfer = async (from: number, to: number, amount: number) => {
        assert.equal(underWay++, 0)
        assert.equal(await verrou.createLock('account.3').isLocked(), true)
        assert.equal(await verrou.createLock('account.7').isLocked(), true)
        transfers.push([from, to, amount])
        underWay--
      }`,
      sample(`${REDLOCK}#several-keys`),
      `assert.deepEqual(transfers, [[7, 3, 100]])
      // Whatever order they are named in, nobody ends in a deadlock, and everybody has both.
      const tasks = Array.from({ length: 20 }, (_, index) =>
        runWithAll(index % 2 ? ['account.3', 'account.7'] : ['account.7', 'account.3'], () =>
          transfer(index, 0, 1)
        )
      )
      await Promise.all(tasks)
      assert.equal(transfers.length, 21)
      assert.equal(await verrou.createLock('account.3').isLocked(), false)
      await verrou.close()`,
    ],
    servers: ['redis'],
  },
}
