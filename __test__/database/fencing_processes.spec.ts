/**
 * Fencing tokens of processes that compete over clients of their own, and a storage in the database that refuses old ones.
 */
import { test } from '@japa/runner'

import { runModule } from '../unit/observe.js'
import { startDatabase } from './knexes.js'
import type { Kind } from './knexes.js'
import type { ClientName } from './own_clients.js'

const PROCESSES = 3
const ROUNDS = 30

/** What a process does: releases, frees by force, or lets its lease run out, in turn. */
const competing = (client: ClientName, config: object) => `
  import knexModule from 'knex'
  import { setTimeout as sleep } from 'node:timers/promises'
  import { DatabaseStore } from 'loquet/drivers/database'
  import { CLIENTS } from './__test__/database/own_clients.ts'

  const config = ${JSON.stringify(config)}
  const client = CLIENTS.${client}(config, { max: 2 })
  const storage = knexModule.knex({ ...config, pool: { min: 0, max: 1 } })
  const store = new DatabaseStore(client.adapter(), { tableName: 'locks', commandTimeout: 20_000 })
  const tokens = []
  for (let round = 0, tries = 0; round < ${ROUNDS}; tries++) {
    const owner = process.pid + ' ' + tries
    const isAbandoned = round % 3 === 2
    const token = await store.saveFenced('k', owner, isAbandoned ? 25 : 600_000)
    if (token === false) {
      await sleep(Math.random() * 10)
      continue
    }
    round++
    tokens.push(String(token))
    if (isAbandoned) continue
    const written = await storage('reports').where('token', '<', String(token)).update({ token: String(token) })
    if (written !== 1) throw new Error('refused: ' + token)
    if (round % 3 === 1) await store.forceDelete('k')
    else await store.delete('k', owner)
  }
  console.log(JSON.stringify(tokens))
  await Promise.all([client.destroy(), storage.destroy()])
`

const CASES: [client: ClientName, kind: Kind][] = [
  ['KyselyAdapter', 'Postgres'],
  ['KnexAdapter', 'MariaDB'],
  ['KyselyAdapter', 'SQLite'],
]

test.group('fencing | processes', () => {
  for (const [client, kind] of CASES) {
    test(`C1, C2: each holder has a greater token than all before it (${client}, ${kind})`, async ({
      assert,
    }) => {
      const database = await startDatabase(kind)
      const knex = database.connect({ pool: { min: 0, max: 1 } })
      try {
        await knex.schema.createTable('reports', (table) => {
          table.bigint('token').notNullable()
        })
        await knex('reports').insert({ token: 0 })
        const ended = await Promise.all(
          Array.from({ length: PROCESSES }, () =>
            runModule(competing(client, database.config), ['--import', 'tsx'])
          )
        )
        for (const { code, stderr } of ended) assert.equal(code, 0, stderr)
        const all = ended.map(({ stdout }) =>
          (JSON.parse(stdout) as string[]).map((token) => BigInt(token))
        )
        for (const tokens of all) {
          assert.lengthOf(tokens, ROUNDS)
          assert.isTrue(tokens.every((token, at) => at === 0 || token > tokens[at - 1]))
        }
        assert.equal(new Set(all.flat()).size, PROCESSES * ROUNDS)
      } finally {
        await database.stop()
      }
    }).timeout(120_000)
  }
})
