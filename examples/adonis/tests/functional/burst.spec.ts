import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from '@japa/runner'
import type { Test } from '@japa/runner/core'
import ace from '@adonisjs/core/services/ace'
import Burst from '#commands/burst'

/**
 * Starts a server that answers orders as it is told to: with the number of requests before this one for its order.
 */
async function serve(self: Test, answer: (earlier: number) => { status: number; text: string }) {
  const seen = new Map<string, number>()

  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    if (request.method === 'GET') return response.end('ready')

    const id = `${JSON.parse(body).order_id}`
    const earlier = seen.get(id) ?? 0
    seen.set(id, earlier + 1)
    const { status, text } = answer(earlier)
    response.writeHead(status).end(text)
  })

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  self.cleanup(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function burst(url: string) {
  const command = await ace.create(Burst, ['--url', url, '--orders=2', '--requests=5'])
  command.ui.switchMode('raw')
  await command.exec()
  return command
}

const PROCESSED = { status: 200, text: 'Order processed successfully' }
const TOLD_SO = { status: 200, text: 'Order is already being processed' }

test.group('node ace burst', () => {
  test('succeeds when one of each burst is processed', async ({ test: self }) => {
    const url = await serve(self, (earlier) => (earlier % 5 === 0 ? PROCESSED : TOLD_SO))

    const command = await burst(url)
    command.assertSucceeded()
  })

  test('fails when an order is processed twice', async ({ test: self }) => {
    const url = await serve(self, (earlier) => (earlier % 5 <= 1 ? PROCESSED : TOLD_SO))

    const command = await burst(url)
    command.assertFailed()
  })

  test('fails when an order is not processed', async ({ test: self }) => {
    const command = await burst(await serve(self, () => TOLD_SO))
    command.assertFailed()
  })

  test('fails and says why when the server does', async ({ assert, test: self }) => {
    const url = await serve(self, (earlier) =>
      earlier % 5 === 0 ? PROCESSED : { status: 500, text: 'Out of paper' }
    )

    const command = await burst(url)
    command.assertFailed()
    assert.match(JSON.stringify(command.ui.logger.getLogs()), /500 Out of paper/)
  })

  test('fails when there is no server', async ({ assert }) => {
    const command = await burst('http://127.0.0.1:1')
    command.assertFailed()
    assert.match(JSON.stringify(command.ui.logger.getLogs()), /No server at/)
  })
})
