import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { pathToFileURL } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from '@japa/runner'
import type { TestContext } from '@japa/runner/core'
import { IgnitorFactory } from '@adonisjs/core/factories'
import { defineConfig, stores } from 'loquet'
import LockProvider from 'loquet/lock_provider'

/** Gives requests in flight less time than a test takes. */
class ImpatientProvider extends LockProvider {
  protected override drainTime = 200
}

/**
 * Starts an HTTP server that handles `/orders/:id` under the lock of the order. `handled` is what happens to the order,
 * `entered` tells how many requests have come in.
 */
async function startServer(
  current: TestContext['test'],
  Provider: typeof LockProvider,
  handled: () => Promise<void>
) {
  const requests = { entered: 0 }
  const config = defineConfig({ default: 'memory', stores: { memory: stores.memory() } })
  const ignitor = new IgnitorFactory()
    .withCoreProviders()
    .withCoreConfig()
    .merge({
      rcFileContents: { providers: [async () => ({ default: Provider })] },
      config: { lock: config },
    })
    .preload(async (app) => {
      const router = await app.container.make('router')
      const locks = await app.container.make('lock.manager')
      router.get('/orders/:id', async ({ params }) => {
        requests.entered++
        const [, order] = await locks.createLock(`order.${params.id}`, null).run(async () => {
          await handled()
          return `order ${params.id}`
        })
        return order
      })
    })
    .create(pathToFileURL(`${tmpdir()}/`))

  const variables = { HOST: '127.0.0.1', PORT: '0' }
  const before = { HOST: process.env.HOST, PORT: process.env.PORT }
  Object.assign(process.env, variables)

  let server: Server | undefined
  await ignitor.httpServer().start((handler) => {
    server = createServer(handler)
    return server
  })
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }

  const app = ignitor.getApp()!
  current.cleanup(async () => {
    // Frees what a failed test left waiting, which would keep the process alive.
    const locks = await app.container.make('lock.manager')
    await locks.close()
    server!.closeAllConnections()
    await app.terminate()
  })
  const { port } = server!.address() as AddressInfo

  return {
    app,
    /** Sends a request; resolves to its status and its body. */
    async request(path: string) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        headers: { connection: 'close' },
      })
      return { status: response.status, body: await response.text() }
    },
    /** Resolves when `count` requests have reached their handler. */
    async entered(count: number) {
      while (requests.entered < count) await sleep(5)
    },
  }
}

test.group('AdonisJS | HTTP server', (group) => {
  group.each.timeout(20_000)

  test('requests that wait for a lock get it while the app terminates', async ({
    assert,
    test: current,
  }) => {
    const { app, request, entered } = await startServer(current, LockProvider, () => sleep(100))

    const answers = [request('/orders/1'), request('/orders/1'), request('/orders/1')]
    await entered(3)
    await app.terminate()

    for (const answer of await Promise.all(answers)) {
      assert.deepEqual(answer, { status: 200, body: 'order 1' })
    }
    assert.isTrue(app.isTerminated)
  })

  test('a request that waits for a lock that is never released ends with status 503', async ({
    assert,
    test: current,
  }) => {
    const { app, request, entered } = await startServer(current, ImpatientProvider, async () => {})
    const locks = await app.container.make('lock.manager')
    await locks.createLock('order.1', null).acquire()

    const waiting = request('/orders/1')
    await entered(1)
    await app.terminate()

    const { status } = await waiting
    assert.equal(status, 503)
    assert.isTrue(app.isTerminated)
  })
})
