/**
 * Processes and threads that use a database: what keeps them alive (C12), what they pass on (C15), how they end (C23).
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { databaseStore } from 'loquet/drivers/database'

import { BACKENDS } from './backends.js'
import type { Backend } from './backends.js'
import { runProgram } from '../lifecycle/processes.js'
import type { Ending } from '../lifecycle/processes.js'
import { assertNotOwned, sleep, until } from '../unit/observe.js'

/** Far more than a start takes on a busy machine, far less than anything here would hold a process back. */
const BY_ITSELF = 15_000

const program = (name: string) => `../../redis/programs/${name}.mjs`

/** A program as it is, and the same in a worker thread. */
const PLACES = {
  'the main thread': (name: string, args: string[]) => runProgram(program(name), { args }),
  'a worker': (name: string, args: string[]) =>
    runProgram('in_worker.mjs', { args: [`../${program(name).slice(3)}`, ...args] }),
}

const CLEAN = { code: 0, signal: null, stderr: '' }

function outcome({ code, signal, stdout, stderr }: Ending) {
  return { code, signal, stdout, stderr }
}

for (const title of Object.keys(BACKENDS) as (keyof typeof BACKENDS)[]) {
  test.group(`Database processes | ${title}`, (group) => {
    let backend: Backend
    group.setup(async () => {
      backend = await BACKENDS[title]()
      // Its table is there.
      await factoryOn()
        .createLock('first')
        .run(() => {})
    })
    group.teardown(() => backend.stop())

    const options = () => JSON.stringify({ ...backend.config, commandTimeout: 2000 })
    const factoryOn = () => new LockFactory(databaseStore(backend.config).factory())

    for (const [place, run] of Object.entries(PLACES)) {
      for (const way of [
        'never used',
        'connected',
        'holding',
        'after waits',
        'closed',
        'after failures',
      ]) {
        // A file that can't be opened is an error at once, not something that may pass.
        if (way === 'after failures' && title.startsWith('SQLite')) continue
        test(`C12: an idle store doesn't keep the process alive: ${way} (${place})`, async ({
          assert,
        }) => {
          const ending = await run('idle', [options(), way])
          assert.deepEqual(outcome(ending), { ...CLEAN, stdout: 'done\n' })
          assert.isBelow(ending.took, BY_ITSELF)
        })
      }

      test(`C12: a waiting acquire keeps the process alive until it is granted (${place})`, async ({
        assert,
      }) => {
        const key = `waited for in ${place}`
        const holder = factoryOn().createLock(key, 60_000)
        await holder.acquire()
        const running = run('wait', [options(), key, '60000'])
        await sleep(1000)
        await holder.release()
        const { stdout, ...ending } = await running
        assert.deepInclude(ending, CLEAN)
        assert.isTrue(JSON.parse(stdout).granted)
      })

      test(`C12: … or until it gives up (${place})`, async ({ assert }) => {
        const key = `held in ${place}`
        await factoryOn().createLock(key, null).acquire()
        const { stdout, ...ending } = await run('wait', [options(), key, '600'])
        assert.deepInclude(ending, CLEAN)
        const { granted, waited } = JSON.parse(stdout)
        assert.isFalse(granted)
        assert.isAbove(waited, 600)
      })
    }

    test('C15: a lock that one process acquired is extended and released by another', async ({
      assert,
    }) => {
      const factory = factoryOn()
      const holding = await runProgram(program('hold'), {
        args: [options(), 'acquire', 'handed over'],
      })
      assert.equal(holding.code, 0, holding.stderr)
      const restored = factory.restoreLock(JSON.parse(holding.stdout))
      assert.isAbove(restored.getRemainingTime()!, 20_000)
      assert.isFalse(await factory.createLock('handed over').acquireImmediately())
      await restored.extend(50_000)
      await restored.release()
      await assertNotOwned(assert, () => restored.release())
      assert.isTrue(await factory.createLock('handed over').acquireImmediately())
    })

    test('C2, C15: and the other way round, once', async ({ assert }) => {
      const lock = factoryOn().createLock('handed back', 60_000)
      await lock.acquire()
      const serialized = JSON.stringify(lock)
      const outcomes: string[] = []
      for (const action of ['extend', 'release', 'release', 'extend']) {
        const ending = await runProgram(program('hold'), { args: [options(), action, serialized] })
        assert.equal(ending.code, 0, ending.stderr)
        outcomes.push(JSON.parse(ending.stdout).outcome)
      }
      assert.deepEqual(outcomes, ['done', 'done', 'E_LOCK_NOT_OWNED', 'E_LOCK_NOT_OWNED'])
      assert.isFalse(await lock.isLocked())
    })

    for (const place of [
      'at once',
      'while they wait',
      'within a callback',
      'in the exit handler',
    ]) {
      test(`C23: process.exit is clean: ${place}`, async ({ assert }) => {
        for (const [where, run] of Object.entries(PLACES)) {
          const ending = await run('end', [options(), place, 'exit'])
          assert.deepEqual(outcome(ending), { ...CLEAN, stdout: '' }, where)
        }
        // The longest lease is one of five seconds; nobody has freed those that were for ever.
        await until(async () => {
          const leases = await backend.leases()
          return leases.every(({ key }) => !/^\d+ /.test(key) || /for (ever|long)$/.test(key))
        })
      })
    }

    test('C23: threads end at random in the midst of calls, the others go on', async ({
      assert,
    }) => {
      const { stdout, ...ending } = await runProgram(program('storm'), { args: [options(), '20'] })
      assert.deepInclude(ending, CLEAN)
      const { started, unexpected, turns } = JSON.parse(stdout)
      assert.equal(started, 20)
      assert.deepEqual(unexpected, [])
      assert.isAbove(turns, 5)
    })
  })
}
