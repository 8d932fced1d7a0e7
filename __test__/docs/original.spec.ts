/**
 * What docs/migrating-from-verrou.md calls the code that stays is code of the original: it compiles and runs with either.
 */
import { test } from '@japa/runner'
import { startStandalone } from '../redis/servers.js'
import { createConsumer } from '../types/consumer.js'
import { NEIGHBOURS } from './neighbours.js'
import { filesOf, runProgram, sample } from './program.js'

const PROGRAM = {
  parts: [
    `import assert from 'node:assert/strict'
    const done: string[] = []
    const buildReport = async () => void done.push('build')`,
    sample('docs/migrating-from-verrou.md#migrating-from-verroucore:2'),
    `assert.equal(executed, true)
    assert.deepEqual(done, ['build'])
    connection.disconnect()`,
  ],
  addresses: { 'redis://localhost:6379': 'redis' as const },
}

test.group('The code that stays', () => {
  for (const [title, installedAs, neighbours] of [
    ['the original', [], [...NEIGHBOURS, '@verrou/core']],
    ['loquet', ['@verrou/core'], NEIGHBOURS],
  ] as const) {
    test(`it compiles and runs with ${title}`, async ({ assert, cleanup }) => {
      const consumer = await createConsumer({
        installedAs: [...installedAs],
        neighbours: [...neighbours],
      })
      cleanup(() => consumer.remove())
      const server = await startStandalone()
      cleanup(() => server.stop())
      const [[path, text]] = filesOf('the code that stays', PROGRAM)
      await consumer.write(path, text)
      const compiler = consumer.compiler([path])
      const ending = await runProgram(consumer, 'the code that stays', PROGRAM, {
        redis: server.url,
      })

      assert.deepEqual(
        compiler.complaints().filter(({ file }) => file === path),
        []
      )
      assert.deepInclude(ending, { code: 0, signal: null }, ending.output)
    })
  }
})
