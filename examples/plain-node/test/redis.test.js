import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { after, before, describe } from 'node:test'
import { testsOfProcesses } from './together.js'

/**
 * Another one than that in the PATH may be named.
 */
const BINARY = process.env.LOQUET_REDIS_SERVER ?? 'redis-server'

/**
 * A port that nobody listens on.
 */
async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/**
 * Starts a Redis server that ends with this process, or sooner when it is killed.
 */
async function startRedis(port) {
  const options = ['--bind', '127.0.0.1', '--dir', tmpdir(), '--save', '', '--appendonly', 'no']
  const server = spawn(BINARY, ['--port', `${port}`, ...options])
  process.once('exit', () => server.kill('SIGKILL'))

  let output = ''
  await new Promise((resolve, reject) => {
    server.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      if (output.includes('Ready to accept connections')) resolve()
    })
    server.on('close', () => reject(new Error(`${BINARY} ended:\n${output}`)))
    server.on('error', (cause) => {
      reject(
        new Error(
          `These tests start a Redis server of their own, and ${BINARY} is missing. Install it (Debian, Ubuntu: ` +
            'apt-get install redis-server), or leave them out: npm run test:memory',
          { cause }
        )
      )
    })
  })
  return server
}

describe('With Redis', () => {
  let server
  let place

  before(async () => {
    const port = await freePort()
    server = await startRedis(port)
    process.env.REDIS_URL = `redis://127.0.0.1:${port}`
    const { together } = await import('../src/processes/together.js')
    place = await together('redis')
  })

  after(async () => {
    await place?.close()
    server?.kill()
  })

  testsOfProcesses('redis', () => place)
})
