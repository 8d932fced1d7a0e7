import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { test } from '@japa/runner'
import { startStandalone } from '../redis/servers.js'

const APP = fileURLToPath(new URL('fixtures/under_load.mjs', import.meta.url))

/** How many requests there are in each burst, for each store, and over how many orders. */
const [BURST, ORDERS] = [40, 4]

/**
 * Sends a request; resolves to the status and the body of its answer, or to nothing if the server didn't take it.
 */
async function request(url: string): Promise<{ status: number; body: string } | undefined> {
  try {
    const response = await fetch(url, { headers: { connection: 'close' } })
    return { status: response.status, body: await response.text() }
  } catch {
    return undefined
  }
}

test.group('AdonisJS | SIGTERM', (group) => {
  group.each.timeout(60_000)

  test('under load it costs no request that was accepted, and leaves no key behind', async ({
    assert,
    test: current,
  }) => {
    const redis = await startStandalone()
    current.cleanup(() => redis.stop())
    const app = spawn(process.execPath, [APP, String(redis.port), String(BURST)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    current.cleanup(() => void app.kill('SIGKILL'))
    const exited = once(app, 'exit')
    const lines = createInterface({ input: app.stdout })[Symbol.asyncIterator]()
    const read = async () => {
      const { value } = await lines.next()
      return JSON.parse(value as string)
    }
    const { port } = await read()

    const answers: ReturnType<typeof request>[] = []
    const sendBurst = () => {
      for (let index = 0; index < BURST; index++) {
        for (const store of ['memory', 'redis']) {
          answers.push(request(`http://127.0.0.1:${port}/${store}/${index % ORDERS}`))
        }
      }
    }
    // Bursts before, while and after the signal arrives. It comes when half of the first has got to the app.
    sendBurst()
    assert.deepEqual(await read(), { entered: BURST })
    sendBurst()
    app.kill('SIGTERM')
    sendBurst()

    const ended = await Promise.all(answers)
    const { entered, handled, heldByHook, lost } = await read()
    assert.deepEqual(await exited, [0, null])

    // A connection that was waiting to be accepted has no answer. Whatever request got to the app has one, and a good one.
    const answered = ended.filter((answer) => answer !== undefined)
    for (const { status, body } of answered) assert.include([200], status, body)
    assert.equal(handled, entered)
    assert.lengthOf(answered, entered)
    assert.isAtLeast(entered, BURST)

    assert.deepEqual(heldByHook, [true, true])
    assert.deepEqual(lost, ['closed', 'closed'])
    assert.equal(await redis.cli('DBSIZE'), '0')
  })
})
