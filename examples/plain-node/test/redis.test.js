import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

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
  let locks
  let redis
  let processes

  before(async () => {
    const port = await freePort()
    server = await startRedis(port)
    process.env.REDIS_URL = `redis://127.0.0.1:${port}`
    ;({ locks, redis } = await import('../src/redis/locks.js'))
    processes = await import('../src/redis/processes.js')
  })

  after(async () => {
    await locks?.close()
    redis?.disconnect()
    server?.kill()
  })

  for (const [name, other] of [
    ['url', 'ioredis'],
    ['ioredis', 'url'],
  ]) {
    test(`a lock by ${name} excludes those by both`, async () => {
      const lock = locks.use(name).createLock('a', '10s')
      assert.equal(await lock.acquireImmediately(), true)
      assert.equal(await locks.use(name).createLock('a').acquireImmediately(), false)
      assert.equal(await locks.use(other).createLock('a').acquireImmediately(), false)

      const next = locks.use(other).createLock('a')
      const turn = next.acquire()
      await lock.release()
      assert.equal(await turn, true)
      await next.release()
      assert.equal(await redis.exists('a'), 0)
    })
  }

  test('processes that count together lose nothing', async () => {
    assert.equal(await processes.countTogether(3, 20), 60)
  })

  test('a lock is released by another process than the one that acquired it', async () => {
    const lock = locks.createLock('order.processing.a')

    assert.equal(await lock.acquireImmediately(), true)
    assert.equal(await processes.releaseElsewhere('a'), false)
    await lock.release()

    assert.equal(await processes.releaseElsewhere('a'), true)
    assert.equal(await lock.isLocked(), false)
  })

  test('the program says what it does', async () => {
    const main = fileURLToPath(new URL('../src/redis/main.js', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [main])

    assert.match(stdout, /^ {2}100$/m)
    assert.match(stdout, /when it is released: true$/m)
    assert.match(stdout, /free for the other one: false$/m)
  })
})
