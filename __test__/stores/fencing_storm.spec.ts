/**
 * Fencing tokens of processes that are killed, over the custom store that docs/custom-stores.md shows.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { test } from '@japa/runner'
import Database from 'better-sqlite3'

import { samplesOf } from '../docs/samples.js'
import { KEYS, STORM_TIMEOUT, tokenStorm } from '../fleet/fencing/storm.js'
import { withFleetOn } from '../fleet/scenarios.js'
import { root } from '../types/consumer.js'
import { wayTo } from './fleet/open.js'

const SAMPLE = 'sqlite_store.ts'

/** A folder within this package, so that the sample finds what it imports. */
async function startFolder() {
  mkdirSync(join(root, 'tmp'), { recursive: true })
  const folder = mkdtempSync(join(root, 'tmp', 'fencing-storm-'))
  const { code } = samplesOf('docs/custom-stores.md').find(({ title }) => title === SAMPLE)!
  writeFileSync(join(folder, SAMPLE), code)
  const filename = join(folder, 'leases.sqlite3')
  // Three processes that write through to a disk one after another would wait for it most of the time.
  const database = new Database(filename)
  database.pragma('journal_mode = WAL')
  database.close()
  return {
    way: wayTo({ url: pathToFileURL(join(folder, SAMPLE)).href, name: 'SqliteStore', filename }),
    stop: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

test.group('fencing storm | custom store', () => {
  test('C2: tokens grow, and no storage that compares them accepts what is out of date', async ({
    assert,
  }) => {
    await withFleetOn(startFolder, async (fleet, { way }, random) => {
      await tokenStorm(assert, fleet, random, {
        order: { way, delay: 50, tasks: 14, keys: KEYS.slice(0, 32) },
        // A busy file is the store's to handle; this one passes on that it is.
        errors: ['SQLITE_BUSY'],
      })
    })
  }).timeout(STORM_TIMEOUT)
})
