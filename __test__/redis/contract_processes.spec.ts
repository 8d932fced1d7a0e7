/**
 * Processes and threads that use Redis.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { RedisStore } from 'loquet/drivers/redis'
import { Worker } from 'node:worker_threads'

import {
  BY_ITSELF,
  CLEAN,
  outcome,
  PLACES,
  registerProcesses,
} from '../lifecycle/server_processes.js'
import { until } from '../unit/observe.js'
import { hasNoLeases, leasesIn } from './fleet/keys.js'
import { startStandalone } from './servers.js'
import type { RedisServer } from './servers.js'

function optionsOf({ host, port }: RedisServer): string {
  return JSON.stringify({ host, port, commandTimeout: 2000 })
}

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

let server: RedisServer

registerProcesses(
  {
    title: 'Redis',
    ends: ENDS,
    threads: { ended: 60, turns: 20 },
    async start() {
      server = await startStandalone()
      const { host, port } = server
      return {
        options: optionsOf(server),
        createFactory: () => new LockFactory(new RedisStore({ host, port })),
        lockedKeys: () => leasesIn(server),
        stop: () => server.stop(),
      }
    },
  },
  (place) => {
    for (const [where, run] of Object.entries(PLACES)) {
      test(`C12: an idle store doesn't keep the process alive: its server is gone (${where})`, async ({
        assert,
      }) => {
        const gone = await startStandalone()
        const { host, port, pid } = gone
        const options = { host, port, commandTimeout: 500, connectionName: String(pid) }
        const ending = await run('idle', [JSON.stringify(options), 'without its server'])
        assert.deepEqual(outcome(ending), { ...CLEAN, stdout: 'done\n' })
        assert.isBelow(ending.took, BY_ITSELF)
        await gone.stop()
      })
    }

    test('C23: process.exit is clean while the server does not answer, or is not there', async ({
      assert,
    }) => {
      const other = await startStandalone()
      const clean = { ...CLEAN, stdout: '' }
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
        for (const at of ['while they wait', 'within a callback', 'when one is granted']) {
          for (const run of Object.values(PLACES)) {
            const ending = await run('end', [place().options, at, way])
            assert.equal(ending.code, 1, ending.stderr)
            assert.isNull(ending.signal)
            assert.match(ending.stderr, /Error: on purpose/)
            assert.notMatch(ending.stderr, /panicked|FATAL|Aborted|Native stack/i)
          }
        }
      })
    }

    test('C13, C23: of processes that have ended no connection stays, and no line for ever', async ({
      assert,
    }) => {
      const other = await startStandalone()
      for (const at of ['while they wait', 'within a callback', 'while other threads wait']) {
        for (const run of Object.values(PLACES)) await run('end', [optionsOf(other), at, 'exit'])
      }
      await until(async () => {
        const list = await other.cli('CLIENT', 'LIST', 'TYPE', 'normal')
        // Ours.
        return list.trim().split('\n').length === 1
      })
      assert.equal(await other.cli('CLIENT', 'LIST', 'TYPE', 'pubsub'), '')
      await until(() => hasNoLeases(other))
      await other.stop()
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
      await place()
        .createFactory()
        .createLock('of a thread')
        .run(() => {})
    })
  }
)
