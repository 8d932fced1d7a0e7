import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

/**
 * On SQLite, in a file that is gone afterwards, unless a URL of a database is given. The tables `locks` and `counters` are
 * theirs.
 */
describe('With a database', () => {
  let folder
  let locks
  let database
  let processes

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'loquet-example-'))
    process.env.DATABASE_URL ??= `sqlite:${join(folder, 'orders.db')}`
    ;({ locks, database } = await import('../src/database/locks.js'))
    processes = await import('../src/database/processes.js')
  })

  after(async () => {
    await locks?.close()
    await database?.schema.dropTableIfExists('locks').dropTableIfExists('counters')
    await database?.destroy()
    rmSync(folder, { recursive: true, force: true })
  })

  for (const [name, other] of [
    ['url', 'knex'],
    ['knex', 'url'],
  ]) {
    test(`a lock by ${name} excludes those by both`, async () => {
      const lock = locks.use(name).createLock('a', '10s')
      assert.equal(await lock.acquireImmediately(), true)
      assert.equal(await locks.use(name).createLock('a').acquireImmediately(), false)
      assert.equal(await locks.use(other).createLock('a').acquireImmediately(), false)

      const next = locks.use(other).createLock('a')
      const turn = next.acquire()
      await lock.release()
      assert.equal(await turn, true)
      await next.release()
      assert.deepEqual(await database('locks').where('key', 'a'), [])
    })
  }

  test('processes that count together lose nothing', async () => {
    assert.equal(await processes.countTogether(3, 20), 60)
  })

  test('a lock is released by another process than the one that acquired it', async () => {
    const lock = locks.createLock('order.processing.a')

    assert.equal(await lock.acquireImmediately(), true)
    assert.equal(await processes.releaseElsewhere('a'), false)
    await lock.release()

    assert.equal(await processes.releaseElsewhere('a'), true)
    assert.equal(await lock.isLocked(), false)
  })

  test('the program says what it does', async () => {
    const main = fileURLToPath(new URL('../src/database/main.js', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [main])

    assert.match(stdout, /^ {2}100$/m)
    assert.match(stdout, /when it is released: true$/m)
    assert.match(stdout, /free for the other one: false$/m)
  })
})
