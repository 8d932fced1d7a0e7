/**
 * What keeps a process or a thread alive, and what doesn't.
 */
import { test } from '@japa/runner'
import { runProgram } from './processes.js'

const STORES = ['private', 'shared', 'custom', 'asynchronous']
/** Far more than a start takes on a busy machine, far less than anything in the fixture would hold a process back. */
const BY_ITSELF = 15_000

/** A program as it is, and the same in a worker thread. */
const PLACES = {
  'the main thread': (program: string, args: string[]) => runProgram(program, { args }),
  'a worker': (program: string, args: string[]) =>
    runProgram('in_worker.mjs', { args: [program, ...args] }),
}

function lines(stdout: string): Record<string, unknown>[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

test.group('keep alive', () => {
  for (const [place, run] of Object.entries(PLACES)) {
    for (const store of STORES) {
      test(`C12: a waiting acquire keeps the process alive until it is granted (${store} store, ${place})`, async ({
        assert,
      }) => {
        const { code, signal, stdout, stderr } = await run('wait_alone.mjs', [store, 'expiry'])
        assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
        const [result, after] = lines(stdout)
        assert.isTrue(result.granted)
        assert.isAbove(result.waited as number, 400)
        assert.deepEqual(after, { timers: 0 })
      })

      test(`C12: … or until it gives up (${store} store, ${place})`, async ({ assert }) => {
        const { code, signal, stdout, stderr } = await run('wait_alone.mjs', [store, 'timeout'])
        assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
        const [result, after] = lines(stdout)
        assert.isFalse(result.granted)
        assert.isAbove(result.waited as number, 500)
        assert.deepEqual(after, { timers: 0 })
      })

      test(`C12, C13: leases and finished waits don't (${store} store, ${place})`, async ({
        assert,
      }) => {
        const { code, signal, stdout, stderr, took } = await run('idle.mjs', [store])
        assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
        assert.deepEqual(lines(stdout), [{ timers: 0 }])
        assert.isBelow(took, BY_ITSELF)
      })
    }
  }
})
