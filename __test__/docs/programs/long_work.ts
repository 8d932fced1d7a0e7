import { sample } from '../program.js'
import type { Program } from '../program.js'
import { ASSERT } from './surroundings.js'

const PAGE = 'docs/long-work.md'

const VERROU = `${ASSERT}
  import { Verrou } from 'loquet'
  import { redisStore } from 'loquet/drivers/redis'
  const verrou = new Verrou({
    default: 'redis',
    stores: { redis: { driver: redisStore({ url: process.env.REDIS_URL! }) } },
  })
  const isFree = async () => !(await verrou.createLock('import').isLocked())`

export const longWork: Record<string, Program> = {
  'Long work: extending by itself': {
    parts: [
      `${VERROU}
      let isImported = false
      const importEverything = async () => {
        assert.equal(await isFree(), false)
        isImported = true
      }`,
      sample(`${PAGE}#extending-by-itself`),
      `assert.equal(isImported, true)
      assert.equal(await isFree(), true)
      await verrou.close()`,
    ],
    servers: ['redis'],
  },

  'Long work: the signal': {
    parts: [
      `${VERROU}
      import { createServer } from 'node:http'
      const stored: unknown[] = []
      const store = async (text: unknown) => void stored.push(text)
      // The second answer never comes: what is on its way ends when the lock is lost.
      const server = createServer((request, response) => {
        if (request.url === '/first') response.end('"first"')
        else void verrou.createLock('import').forceRelease()
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      const urls = ['first', 'second'].map((path) => \`http://127.0.0.1:\${port}/\${path}\`)
      let error: { code?: string, reason?: string } = {}
      try {`,
      sample(`${PAGE}#knowing-that-it-is-held`),
      `} catch (reason) { error = reason as object }
      assert.deepEqual([error.code, error.reason], ['E_LOCK_LOST', 'not_owned'])
      assert.deepEqual(stored, ['first'])
      server.closeAllConnections()
      server.close()
      await verrou.close()`,
    ],
    servers: ['redis'],
  },

  'Long work: await using': {
    parts: [
      `${VERROU}
      let isImported = false
      const importEverything = async (signal: AbortSignal) => {
        assert.equal(signal.aborted, false)
        assert.equal(await isFree(), false)
        isImported = true
      }
      {`,
      sample(`${PAGE}#await-using`),
      `assert.equal(held.isHeld(), true)
      }
      assert.equal(isImported, true)
      assert.equal(await isFree(), true)
      const holder = verrou.createLock('import')
      await holder.acquire()
      const refused = verrou.createLock('import').hold({ retry: { attempts: 1 } })
      await assert.rejects(refused, { code: 'E_LOCK_NOT_ACQUIRED', status: 423 })
      await holder.release()
      await verrou.close()`,
    ],
    servers: ['redis'],
  },
}
