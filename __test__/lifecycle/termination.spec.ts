/**
 * Threads that end in the midst of it.
 */
import { test } from '@japa/runner'
import { runProgram } from './processes.js'

test.group('termination', () => {
  for (const place of ['main', 'workers']) {
    const users = place === 'main' ? 'the main thread and workers' : 'workers only'
    test(`C23: 200 threads end at random while they hold and wait for locks (${users})`, async ({
      assert,
    }) => {
      const seed = String(Date.now() % 2 ** 31)
      const args = ['200', '6', seed, place]
      const { code, signal, stdout, stderr } = await runProgram('storm.mjs', { args })
      assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' }, seed)

      const { left, progress, ...tally } = JSON.parse(stdout)
      assert.equal(tally.started, 200, seed)
      assert.isAbove(tally.terminated, 0, seed)
      assert.deepEqual(tally.unexpected, [], seed)
      // Nobody waited in vain: neither the one who stayed alive nor who came afterwards.
      assert.isAbove(progress.turns, 0, seed)
      assert.equal(progress.vain, 0, seed)
      assert.deepEqual(left.keys, [], seed)
      // What is left are the check's own six locks, and the witness that waits for one of them.
      assert.equal(left.leases, 6, seed)
      assert.isAtMost(left.waiters, 1, seed)
    }).timeout(100_000)
  }

  test('C23: threads that have ended keep no memory', async ({ assert }) => {
    const options = { args: ['60'], flags: ['--expose-gc'] }
    const { code, signal, stdout, stderr } = await runProgram('births.mjs', options)
    assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
    const { megabytes } = JSON.parse(stdout)
    // Each thread would leave more than one megabyte; the allocator's ups and downs are far smaller than the sum.
    assert.isBelow(megabytes.at(-1) - megabytes[1], 60, megabytes.join(' '))
  }).timeout(100_000)
})
