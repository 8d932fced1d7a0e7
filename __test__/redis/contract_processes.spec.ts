/**
 * Processes and threads that use Redis: what keeps them alive (C12), what they pass on (C15), how they end (C23).
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { RedisStore } from 'loquet/drivers/redis'
import { Worker } from 'node:worker_threads'

import { runProgram } from '../lifecycle/processes.js'
import type { Ending } from '../lifecycle/processes.js'
import { assertNotOwned, sleep, until } from '../unit/observe.js'
import { startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

/** Far more than a start takes on a busy machine, far less than anything here would hold a process back. */
const BY_ITSELF = 15_000

const program = (name: string) => `../../redis/programs/${name}.mjs`

/** A program as it is, and the same in a worker thread. */
const PLACES = {
  'the main thread': (name: string, args: string[]) => runProgram(program(name), { args }),
  'a worker': (name: string, args: string[]) =>
    runProgram('in_worker.mjs', { args: [`../${program(name).slice(3)}`, ...args] }),
}

function optionsOf({ host, port }: RedisServer): string {
  return JSON.stringify({ host, port, commandTimeout: 2000 })
}

function factoryOn({ host, port }: RedisServer): LockFactory {
  return new LockFactory(new RedisStore({ host, port }))
}

function outcome({ code, signal, stdout, stderr }: Ending) {
  return { code, signal, stdout, stderr }
}

test.group('Redis processes', (group) => {
  let server: RedisServer
  group.setup(async () => {
    server = await startStandalone()
  })
  group.teardown(() => server.stop())

  for (const [place, run] of Object.entries(PLACES)) {
    for (const way of [
      'never used',
      'connected',
      'holding',
      'after waits',
      'closed',
      'after failures',
    ]) {
      test(`C12: an idle store doesn't keep the process alive: ${way} (${place})`, async ({
        assert,
      }) => {
        const ending = await run('idle', [optionsOf(server), way])
        const expected = { code: 0, signal: null, stdout: 'done\n', stderr: '' }
        assert.deepEqual(outcome(ending), expected)
        assert.isBelow(ending.took, BY_ITSELF)
      })
    }

    test(`C12: nor does one whose server is gone (${place})`, async ({ assert }) => {
      const gone = await startStandalone()
      const { host, port, pid } = gone
      const options = { host, port, commandTimeout: 500, connectionName: String(pid) }
      const ending = await run('idle', [JSON.stringify(options), 'without its server'])
      const expected = { code: 0, signal: null, stdout: 'done\n', stderr: '' }
      assert.deepEqual(outcome(ending), expected)
      assert.isBelow(ending.took, BY_ITSELF)
      await gone.stop()
    })

    test(`C12: a waiting acquire keeps the process alive until it is granted (${place})`, async ({
      assert,
    }) => {
      const key = `waited for in ${place}`
      for (const end of ['release', 'expiry']) {
        const holder = factoryOn(server).createLock(key, end === 'expiry' ? 2000 : 60_000)
        await holder.acquire()
        const running = run('wait', [optionsOf(server), key, '60000'])
        if (end === 'release') {
          // Somebody stands in line.
          await until(async () => {
            const keys = await server.cli('KEYS', `${key}*`)
            return keys.includes('\n')
          })
          await sleep(300)
          await holder.release()
        }
        const { code, signal, stdout, stderr } = await running
        assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
        assert.isTrue(JSON.parse(stdout).granted)
        assert.equal(await server.cli('DEL', key), '1')
      }
    })

    test(`C12: … or until it gives up (${place})`, async ({ assert }) => {
      const key = `held in ${place}`
      await factoryOn(server).createLock(key, null).acquire()
      const { code, signal, stdout, stderr } = await run('wait', [optionsOf(server), key, '600'])
      assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
      const { granted, waited } = JSON.parse(stdout)
      assert.isFalse(granted)
      assert.isAbove(waited, 600)
    })
  }

  test('C15: a lock that one process acquired is extended and released by another', async ({
    assert,
  }) => {
    const factory = factoryOn(server)
    const holding = await runProgram(program('hold'), {
      args: [optionsOf(server), 'acquire', 'handed over'],
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
    const lock = factoryOn(server).createLock('handed back', 60_000)
    await lock.acquire()
    const serialized = JSON.stringify(lock)
    const runs = ['extend', 'release', 'release', 'extend']
    const outcomes: string[] = []
    for (const action of runs) {
      const ending = await runProgram(program('hold'), {
        args: [optionsOf(server), action, serialized],
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
})

const ENDS = [
  'at once',
  'while they wait',
  'when one is granted',
  'within a callback',
  'when a wait times out',
  'while it closes',
  'while other threads wait',
  'in the exit handler',
]

test.group('Redis processes | ends', (group) => {
  let server: RedisServer
  group.setup(async () => {
    server = await startStandalone()
  })
  group.teardown(() => server.stop())

  for (const place of ENDS) {
    test(`C23: process.exit is clean: ${place}`, async ({ assert }) => {
      const clean = { code: 0, signal: null, stdout: '', stderr: '' }
      for (const [where, run] of Object.entries(PLACES)) {
        const ending = await run('end', [optionsOf(server), place, 'exit'])
        assert.deepEqual(outcome(ending), clean, where)
      }
    })
  }

  test('C23: process.exit is clean while the server does not answer, or is not there', async ({
    assert,
  }) => {
    const other = await startStandalone()
    const clean = { code: 0, signal: null, stdout: '', stderr: '' }
    for (const run of Object.values(PLACES)) {
      other.pause()
      assert.deepEqual(outcome(await run('end', [optionsOf(other), 'at once', 'exit'])), clean)
      other.resume()
    }
    await other.kill()
    for (const run of Object.values(PLACES)) {
      assert.deepEqual(outcome(await run('end', [optionsOf(other), 'at once', 'exit'])), clean)
    }
    await other.stop()
  })

  for (const way of ['throw', 'reject']) {
    test(`C23: an error that nobody catches ends the process as ever: ${way}`, async ({
      assert,
    }) => {
      for (const place of ['while they wait', 'within a callback', 'when one is granted']) {
        for (const run of Object.values(PLACES)) {
          const ending = await run('end', [optionsOf(server), place, way])
          assert.equal(ending.code, 1, ending.stderr)
          assert.isNull(ending.signal)
          assert.match(ending.stderr, /Error: on purpose/)
          assert.notMatch(ending.stderr, /panicked|FATAL|Aborted|Native stack/i)
        }
      }
    })
  }

  test('C13, C23: of processes that have ended nothing is left but leases that end', async ({
    assert,
  }) => {
    await until(async () => {
      const list = await server.cli('CLIENT', 'LIST', 'TYPE', 'normal')
      // Ours.
      return list.trim().split('\n').length === 1
    })
    assert.equal(await server.cli('CLIENT', 'LIST', 'TYPE', 'pubsub'), '')
    // The longest lease is one of five seconds. A line of those who wait may stay for longer, but not for ever.
    let keys: string[] = []
    await until(async () => {
      const [reply] = await server.sendForBytes(['KEYS', '*'])
      keys = reply as string[]
      return keys.every((key) => key.includes(':loquet:line'))
    })
    const spans = await server.send(...keys.map((key) => ['PTTL', Buffer.from(key, 'latin1')]))
    for (const [index, span] of spans.entries()) assert.notEqual(span, -1, keys[index])
    assert.isTrue(await factoryOn(server).createLock('k').acquire())
  })

  test('C23: threads end at random in the midst of calls, the others go on', async ({ assert }) => {
    const { code, signal, stdout, stderr } = await runProgram(program('storm'), {
      args: [optionsOf(server), '60'],
    })
    assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
    const { started, unexpected, turns } = JSON.parse(stdout)
    assert.equal(started, 60)
    assert.deepEqual(unexpected, [])
    assert.isAbove(turns, 20)
  })

  test('C23: the connection of a thread goes with it', async ({ assert }) => {
    const { host, port } = server
    const options = { host, port, connectionName: 'of-a-thread' }
    const source = `
      const { workerData, parentPort } = require('node:worker_threads')
      Promise.all([import('loquet'), import('loquet/drivers/redis')]).then(
        async ([{ LockFactory }, { RedisStore }]) => {
          const factory = new LockFactory(new RedisStore(workerData.options))
          await factory.createLock('of a thread', 60_000).acquire()
          factory.createLock('of a thread').acquire({ retry: { delay: 60_000 } }).catch(() => {})
          setTimeout(() => {
            parentPort.postMessage('waiting')
            if (workerData.way === 'exit') process.exit()
          }, 50)
        }
      )`
    const connections = async () => {
      const list = await server.cli('CLIENT', 'LIST')
      return list.split('\n').filter((line) => line.includes('name=of-a-thread')).length
    }
    for (const way of ['terminate', 'exit']) {
      const worker = new Worker(source, {
        eval: true,
        workerData: { options, way },
        execArgv: [],
      })
      const ended = new Promise((resolve) => worker.on('exit', resolve))
      await new Promise((resolve) => worker.on('message', resolve))
      if (way === 'terminate') {
        assert.isAtLeast(await connections(), 1)
        await worker.terminate()
      }
      await ended
      await until(async () => (await connections()) === 0)
      await server.cli('DEL', 'of a thread')
    }
    // Nobody stands in line for a thread that is gone.
    await factoryOn(server)
      .createLock('of a thread')
      .run(() => {})
  })
})
