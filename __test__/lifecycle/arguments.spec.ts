/**
 * What the addon does with arguments that it wasn't made for.
 */
import { test } from '@japa/runner'
import { runProgram } from './processes.js'

test.group('arguments', () => {
  test('C23: bad arguments to any function of the addon throw an error with a code, never more', async ({
    assert,
  }) => {
    const seed = String(Date.now() % 2 ** 31)
    const args = ['30000', seed]
    const { code, signal, stdout, stderr } = await runProgram('arguments.mjs', { args })
    assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' }, seed)

    const tally = JSON.parse(stdout)
    assert.deepEqual(tally.unknown, [], 'functions that the fixture does not know')
    assert.deepEqual(tally.missing, [], 'functions that the addon does not have')
    assert.deepEqual(tally.uncoded, [], seed)
    assert.isAbove(tally.thrown, 1_000, seed)
    assert.isAbove(tally.returned, 1_000, seed)
    assert.deepInclude(tally, { acquired: 1, again: 0, released: 1 }, seed)
  })
})
