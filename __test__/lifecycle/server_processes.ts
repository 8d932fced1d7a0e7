/**
 * Processes and threads that use a store on a server: what keeps them alive (C12), what they pass on (C15), how they end
 * (C23).
 */
import { test } from '@japa/runner'
import type { LockFactory } from 'loquet'

import { assertNotOwned, sleep, until } from '../unit/observe.js'
import { runProgram } from './processes.js'
import type { Ending } from './processes.js'

/** Far more than a start takes on a busy machine, far less than anything here would hold a process back. */
export const BY_ITSELF = 15_000

const program = (name: string) => `server/${name}.mjs`

/** A program as it is, and the same in a worker thread. */
export const PLACES = {
  'the main thread': (name: string, args: string[]) => runProgram(program(name), { args }),
  'a worker': (name: string, args: string[]) =>
    runProgram('in_worker.mjs', { args: [program(name), ...args] }),
}

export const CLEAN = { code: 0, signal: null, stderr: '' }

export function outcome({ code, signal, stdout, stderr }: Ending) {
  return { code, signal, stdout, stderr }
}

/** Where locks are, for programs and for the test itself. */
export interface Place {
  /** The store's options as JSON. */
  options: string
  createFactory(): LockFactory
  /** The keys that are locked. */
  lockedKeys(): Promise<string[]>
  stop(): Promise<void>
}

export interface PlaceKind {
  title: string
  start(): Promise<Place>
  /** Without anything that may be down. */
  isFile?: boolean
  /** Where in the midst of calls programs end. */
  ends: string[]
  /** How many threads end at random, and how many rounds the others get done meanwhile. */
  threads: { ended: number; turns: number }
}

/** Registers the tests for a kind of store. `more` adds to them; it is told how to get at the place. */
export function registerProcesses(
  { title, start, isFile = false, ends, threads }: PlaceKind,
  more: (place: () => Place) => void = () => {}
): void {
  test.group(`Processes | ${title}`, (group) => {
    let place: Place
    group.setup(async () => {
      place = await start()
    })
    group.teardown(() => place.stop())
    const locksIn = () => place.createFactory()

    for (const [where, run] of Object.entries(PLACES)) {
      const ways = ['never used', 'connected', 'holding', 'after waits', 'closed']
      // A file that can't be opened is an error at once, not something that may pass.
      if (!isFile) ways.push('after failures')
      for (const way of ways) {
        test(`C12: an idle store doesn't keep the process alive: ${way} (${where})`, async ({
          assert,
        }) => {
          const ending = await run('idle', [place.options, way])
          assert.deepEqual(outcome(ending), { ...CLEAN, stdout: 'done\n' })
          assert.isBelow(ending.took, BY_ITSELF)
        })
      }

      test(`C12: a waiting acquire keeps the process alive until it is granted (${where})`, async ({
        assert,
      }) => {
        for (const end of ['release', 'expiry']) {
          const key = `waited for in ${where} until ${end}`
          const holder = locksIn().createLock(key, end === 'expiry' ? 2_000 : 60_000)
          await holder.acquire()
          const running = run('wait', [place.options, key, '60000'])
          if (end === 'release') {
            // Time to come so far; if that isn't enough, the lock is free when it is asked for.
            await sleep(1_000)
            await holder.release()
          }
          const { stdout, ...ending } = await running
          assert.deepInclude(ending, CLEAN)
          assert.isTrue(JSON.parse(stdout).granted)
        }
      })

      test(`C12: … or until it gives up (${where})`, async ({ assert }) => {
        const key = `held in ${where}`
        await locksIn().createLock(key, null).acquire()
        const { stdout, ...ending } = await run('wait', [place.options, key, '600'])
        assert.deepInclude(ending, CLEAN)
        const { granted, waited } = JSON.parse(stdout)
        assert.isFalse(granted)
        assert.isAbove(waited, 600)
      })
    }

    test('C15: a lock that one process acquired is extended and released by another', async ({
      assert,
    }) => {
      const factory = locksIn()
      const args = [place.options, 'acquire', 'handed over']
      const holding = await runProgram(program('hold'), { args })
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
      const lock = locksIn().createLock('handed back', 60_000)
      await lock.acquire()
      const serialized = JSON.stringify(lock)
      const outcomes: string[] = []
      for (const action of ['extend', 'release', 'release', 'extend']) {
        const ending = await runProgram(program('hold'), {
          args: [place.options, action, serialized],
        })
        assert.equal(ending.code, 0, ending.stderr)
        const answer = JSON.parse(ending.stdout)
        assert.isAbove(answer.remaining, 20_000)
        outcomes.push(answer.outcome)
      }
      assert.deepEqual(outcomes, ['done', 'done', 'E_LOCK_NOT_OWNED', 'E_LOCK_NOT_OWNED'])
      await assertNotOwned(assert, () => lock.release())
      assert.isFalse(await lock.isLocked())
    })

    for (const at of ends) {
      test(`C23: process.exit is clean: ${at}`, async ({ assert }) => {
        for (const [where, run] of Object.entries(PLACES)) {
          const ending = await run('end', [place.options, at, 'exit'])
          assert.deepEqual(outcome(ending), { ...CLEAN, stdout: '' }, where)
        }
      })
    }

    test('C13, C23: of processes that have ended nothing is left but leases that end', async ({
      assert,
    }) => {
      // The longest lease of theirs is one of five seconds; nobody frees those that were for ever.
      await until(async () => {
        const keys = await place.lockedKeys()
        return keys.every((key) => !/^\d+ /.test(key) || /for (ever|long)$/.test(key))
      })
      assert.isTrue(await locksIn().createLock('k').acquireImmediately())
    })

    test('C23: threads end at random in the midst of calls, the others go on', async ({
      assert,
    }) => {
      const args = [place.options, String(threads.ended)]
      const { stdout, ...ending } = await runProgram(program('storm'), { args })
      assert.deepInclude(ending, CLEAN)
      const { started, unexpected, turns } = JSON.parse(stdout)
      assert.equal(started, threads.ended)
      assert.deepEqual(unexpected, [])
      assert.isAbove(turns, threads.turns)
    })

    more(() => place)
  })
}
