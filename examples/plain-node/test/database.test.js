import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import { testsOfProcesses } from './together.js'

/**
 * On SQLite, in a file that is gone afterwards, unless a URL of a database is given. The tables `locks` and `counters` are
 * theirs.
 */
describe('With a database', () => {
  let folder
  let place

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'loquet-example-'))
    process.env.DATABASE_URL ??= `sqlite:${join(folder, 'orders.db')}`
    const { together } = await import('../src/processes/together.js')
    place = await together('database')
  })

  after(async () => {
    await place?.database.schema.dropTableIfExists('locks').dropTableIfExists('counters')
    await place?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  testsOfProcesses('database', () => place)
})
