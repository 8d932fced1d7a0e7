import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'

const BINARY = process.env.LOQUET_REDIS_SERVER ?? 'redis-server'

export const MISSING =
  `The tests of this suite start a Redis server of their own, and ${BINARY} is missing. ` +
  'Install it (Debian, Ubuntu: apt-get install redis-server), or leave them out: npm test functional'

let port: Promise<number | null> | undefined

/**
 * Starts a Redis server that ends with this process, the first time that it is called. Resolves to its port on 127.0.0.1,
 * or to `null` where there is no redis-server. LOQUET_REDIS_SERVER names another one than that in the PATH.
 */
export function redisServer(): Promise<number | null> {
  port ??= start()
  return port
}

async function start(): Promise<number | null> {
  for (let attempt = 1; ; attempt++) {
    const candidate = await freePort()
    const outcome = await serve(candidate)
    if (outcome === 'ready') return candidate
    if (outcome === 'missing') return null

    /**
     * Somebody else may have taken the port meanwhile.
     */
    if (attempt === 5) throw new Error(`${BINARY} ended:\n${outcome.output}`)
  }
}

function serve(on: number): Promise<'ready' | 'missing' | { output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      BINARY,
      [
        ...['--port', `${on}`, '--bind', '127.0.0.1', '--dir', tmpdir()],
        ...['--save', '', '--appendonly', 'no'],
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] }
    )
    process.once('exit', () => child.kill('SIGKILL'))

    /**
     * Neither the server nor what it prints keeps this process alive.
     */
    child.unref()
    const stdout = child.stdout as Socket
    stdout.setEncoding('utf8')

    let output = ''
    stdout.on('data', (text) => {
      output += text
      if (!output.includes('Ready to accept connections')) return
      stdout.removeAllListeners('data').resume().unref()
      resolve('ready')
    })
    child.on('close', () => resolve({ output }))
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve('missing')
      else reject(error)
    })
  })
}

/**
 * A port that nobody listens on.
 */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port: free } = server.address() as AddressInfo
      server.close(() => resolve(free))
    })
  })
}
