/**
 * C1, C23: the app's own SQLite and the store's have the same file open in one process. Locks that POSIX gives to a process
 * would not keep them apart, and closing the file would free them.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'

import { test } from '@japa/runner'
import Sqlite from 'better-sqlite3'
import { LockFactory } from 'loquet'
import { databaseStore } from 'loquet/drivers/database'

import { isPending } from '../unit/observe.js'

const MODES = ['wal', 'delete'] as const

/** Whether another process may write. */
function canWrite(file: string): boolean {
  const program = `
    const Sqlite = require('better-sqlite3')
    const db = new Sqlite(process.argv[1], { timeout: 0 })
    try {
      db.exec('BEGIN IMMEDIATE; ROLLBACK')
      console.log('free')
    } catch (error) {
      if (!/^SQLITE_BUSY/.test(error.code)) throw error
      console.log('busy')
    }`
  const cwd = new URL('../../', import.meta.url)
  return (
    execFileSync(process.execPath, ['-e', program, file], { cwd, encoding: 'utf8' }) === 'free\n'
  )
}

/** How often this process has the database, or a file beside it, open. */
function descriptorsOf(file: string): number {
  const folder = '/proc/self/fd'
  if (!existsSync(folder)) return 0
  return readdirSync(folder).filter((name) => {
    const target = readlinkOf(join(folder, name))
    return target === file || target === `${file}-shm`
  }).length
}

function readlinkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

for (const mode of MODES) {
  test.group(`One SQLite file, two libraries | SQLite, ${mode}`, (group) => {
    let folder: string
    let file: string
    let app: Sqlite.Database

    group.each.setup(() => {
      folder = mkdtempSync(join(tmpdir(), 'loquet-one-file-'))
      file = join(folder, 'app.db')
      app = new Sqlite(file)
      app.pragma(`journal_mode = ${mode}`)
      app.exec('CREATE TABLE counters (name text PRIMARY KEY, count integer NOT NULL)')
      app.exec("INSERT INTO counters VALUES ('app', 0)")
      return () => {
        app.close()
        rmSync(folder, { recursive: true })
      }
    })

    const open = () => new LockFactory(databaseStore({ url: `sqlite:${file}` }).factory())

    test('C1: a transaction of the app keeps the store waiting', async ({ assert }) => {
      const lock = open().createLock('k', 60_000)
      await lock.run(() => {})
      app.exec('BEGIN IMMEDIATE')
      app.exec('UPDATE counters SET count = count + 1')
      const acquiring = lock.acquire()
      await new Promise((resolve) => setTimeout(resolve, 200))
      assert.isTrue(await isPending(acquiring))
      app.exec('COMMIT')
      assert.isTrue(await acquiring)
      await lock.release()
    })

    test('C1: what the store closes frees no lock of the app', async ({ assert }) => {
      const uses = async () => {
        const source = `
          const { workerData } = require('node:worker_threads')
          // Other settings than those of the main thread: the connection is the thread's own, and goes with it.
          Promise.all([import('loquet'), import('loquet/drivers/database')]).then(
            async ([{ LockFactory }, { databaseStore }]) => {
              const factory = new LockFactory(databaseStore({ url: 'sqlite:' + workerData, connectTimeout: 4321 }).factory())
              await factory.createLock('of a thread').isLocked()
            }
          )`
        const worker = new Worker(source, { eval: true, workerData: file, execArgv: [] })
        await new Promise((resolve, reject) => {
          worker.on('exit', resolve)
          worker.on('error', reject)
        })
      }
      await open()
        .createLock('k')
        .run(() => {})
      app.exec('BEGIN IMMEDIATE')
      app.exec('UPDATE counters SET count = count + 1')
      assert.isFalse(canWrite(file))
      await uses()
      assert.isFalse(canWrite(file))
      app.exec('COMMIT')
      assert.isTrue(canWrite(file))
      // What stays open is used again.
      for (let round = 0; round < 5; round++) await uses()
      assert.isAtMost(descriptorsOf(file), 10)
    })

    test('C1: both write at once, and so does another process: nothing is lost or damaged', async ({
      assert,
    }) => {
      const factory = open()
      const rounds = 150
      const increment = app.prepare("UPDATE counters SET count = count + 1 WHERE name = 'app'")
      let granted = 0
      let over = false
      const tasks = Array.from({ length: 8 }, async (_, task) => {
        while (!over) {
          await factory.createLock(`key ${task % 3}`, 10_000).run(() => granted++)
        }
      })
      for (let round = 0; round < rounds; round++) {
        app.transaction(() => {
          increment.run()
          increment.run()
        })()
        await new Promise((resolve) => setImmediate(resolve))
        if (round % 50 === 0) canWrite(file)
      }
      over = true
      await Promise.all(tasks)

      assert.deepEqual(app.prepare('SELECT count FROM counters').all(), [{ count: 2 * rounds }])
      assert.isAbove(granted, 0)
      assert.deepEqual(app.prepare('SELECT * FROM verrou').all(), [])
      assert.deepEqual(app.pragma('integrity_check'), [{ integrity_check: 'ok' }])
    })
  })
}
