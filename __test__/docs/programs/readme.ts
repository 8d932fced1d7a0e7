import { sample } from '../program.js'
import type { Program } from '../program.js'
import { ASSERT, bootApp } from './surroundings.js'

export const readme: Record<string, Program> = {
  'README: a service of an app': {
    parts: [
      `${ASSERT}
      const orderId = 1
      const processed: number[] = []
      const processOrder = async (id: number) => {
        assert.equal(await locks.createLock(\`order.processing.\${id}\`).isLocked(), true)
        processed.push(id)
      }`,
      sample('README.md#loquet'),
      `assert.equal(executed, true)
      assert.deepEqual(processed, [1])`,
    ],
    main: (module) => `
      import { defineConfig, stores } from '@adonisjs/lock'
      const lock = defineConfig({ default: 'memory', stores: { memory: stores.memory() } })
      ${bootApp()}
      await import('${module}')
      await app.terminate()`,
  },

  'README: without AdonisJS': {
    parts: [
      `${ASSERT}
      const done: string[] = []
      const buildReport = async () => {
        assert.equal(await verrou.createLock('report.daily').acquireImmediately(), false)
        done.push('built')
      }
      const sendReport = async () => {
        assert.ok(lock.getRemainingTime()! > 9_000)
        done.push('sent')
      }`,
      sample('README.md#without-adonisjs'),
      `assert.deepEqual(done, ['built', 'sent'])
      assert.equal(await lock.isLocked(), false)
      await verrou.close()`,
    ],
    addresses: { 'redis://localhost:6379': 'redis' },
  },
}
