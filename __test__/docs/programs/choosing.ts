import { sample } from '../program.js'
import type { Program } from '../program.js'
import { ASSERT } from './surroundings.js'

const PAGE = 'docs/choosing-a-store.md'

export const choosing: Record<string, Program> = {
  'Choosing a store: two stores': {
    parts: [
      `${ASSERT}
      import { Verrou } from 'loquet'
      import { memoryStore } from 'loquet/drivers/memory'
      import { redisStore } from 'loquet/drivers/redis'`,
      sample(`${PAGE}#choosing-a-store`),
      `const inRedis = verrou.createLock('report.daily')
      const inMemory = verrou.use('memory').createLock('report.daily')
      assert.deepEqual(
        [await inRedis.acquireImmediately(), await inMemory.acquireImmediately()],
        [true, true]
      )
      await inRedis.release()
      await verrou.close()`,
    ],
    addresses: { 'redis://localhost:6379': 'redis' },
  },

  'Choosing a store: options of locks': {
    parts: [
      `${ASSERT}
      import { pino } from 'pino'
      import { Verrou } from 'loquet'
      import { memoryStore } from 'loquet/drivers/memory'`,
      sample(`${PAGE}#options-of-locks`),
      `assert.equal(acquired, true)
      assert.ok(lock.getRemainingTime()! > 59_000)
      // The signal is shorter than the timeout, the timeout of the defaults longer than both.
      const signal = AbortSignal.timeout(1)
      const other = verrou.createLock('report.daily').acquire({ signal })
      await assert.rejects(other, { name: 'TimeoutError' })
      assert.equal(await verrou.createLock('report.daily').acquire({ retry: { timeout: 1 } }), false)`,
    ],
  },

  'Troubleshooting: an error by its class': {
    parts: [
      `${ASSERT}
      import { Verrou, errors } from 'loquet'
      import { memoryStore } from 'loquet/drivers/memory'
      const verrou = new Verrou({ default: 'memory', stores: { memory: { driver: memoryStore() } } })
      const lock = verrou.createLock('key')
      const warnings: string[] = []
      console.warn = (text: string) => void warnings.push(text)`,
      sample('docs/troubleshooting.md#troubleshooting'),
      "assert.deepEqual(warnings, ['It took longer than the lock lasted'])",
    ],
  },
}
