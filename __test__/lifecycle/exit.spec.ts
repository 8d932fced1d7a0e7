/**
 * Ends in the midst of acquires.
 */
import { test } from '@japa/runner'
import { runProgram } from './processes.js'
import type { Ending } from './processes.js'

const PLACES = [
  'at once',
  'while they wait',
  'when one is granted',
  'within a callback',
  'within a custom store',
  'in an abort listener',
  'when a wait times out',
  'while other threads wait',
  'while other threads are granted',
  'in the exit handler',
]

function outcome({ code, signal, stdout, stderr }: Ending) {
  return { code, signal, stdout, stderr }
}

test.group('exit', () => {
  for (const place of PLACES) {
    test(`C23: process.exit is clean: ${place}`, async ({ assert }) => {
      const clean = { code: 0, signal: null, stdout: '', stderr: '' }
      const here = await runProgram('exit.mjs', { args: [place, 'exit'] })
      assert.deepEqual(outcome(here), clean)
      const inWorker = await runProgram('in_worker.mjs', { args: ['exit.mjs', place, 'exit'] })
      assert.deepEqual(outcome(inWorker), clean, 'in a worker')
    })
  }

  for (const way of ['throw', 'reject']) {
    for (const place of PLACES) {
      test(`C23: an error that nobody catches (${way}) ends the process as ever: ${place}`, async ({
        assert,
      }) => {
        for (const program of [['exit.mjs'], ['in_worker.mjs', 'exit.mjs']]) {
          const [name, ...rest] = program
          const ending = await runProgram(name, { args: [...rest, place, way] })
          assert.equal(ending.code, 1, ending.stderr)
          assert.isNull(ending.signal)
          assert.match(ending.stderr, /Error: on purpose/, ending.stderr)
          assert.notMatch(ending.stderr, /panicked|FATAL|Aborted|Native stack/i, ending.stderr)
        }
      })
    }
  }
})
