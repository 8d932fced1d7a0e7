import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'

const REDIS = process.env.LOQUET_REDIS_SERVER ?? 'redis-server'

export const NO_REDIS =
  `The tests of this suite start a Redis server of their own, and ${REDIS} is missing. ` +
  'Install it (Debian, Ubuntu: apt-get install redis-server), or leave them out: npm test functional database dynamodb'

/**
 * A program that listens on a port of 127.0.0.1.
 */
interface Program {
  command: string
  /** Its arguments, for a port. */
  args: (port: number) => string[]
  /** What it prints when it takes connections. */
  ready: string
}

let redisPort: Promise<number | null> | undefined
let dynamodbPort: Promise<number | null> | undefined

/**
 * Starts a Redis server that ends with this process, the first time that it is called. Resolves to its port on 127.0.0.1,
 * or to `null` where there is no redis-server. LOQUET_REDIS_SERVER names another one than that in the PATH.
 */
export function redisServer(): Promise<number | null> {
  redisPort ??= start({
    command: REDIS,
    args: (port) => [
      ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', tmpdir()],
      ...['--save', '', '--appendonly', 'no'],
    ],
    ready: 'Ready to accept connections',
  })
  return redisPort
}

/**
 * The same with a DynamoDB that is made for tests, and has everything in its memory. Resolves to its port.
 */
export function dynamodbServer(): Promise<number | null> {
  const dynalite = createRequire(import.meta.url).resolve('dynalite/cli.js')
  dynamodbPort ??= start({
    command: process.execPath,
    args: (port) => [dynalite, '--host', '127.0.0.1', '--port', `${port}`, '--createTableMs', '50'],
    ready: 'listening',
  })
  return dynamodbPort
}

async function start(program: Program): Promise<number | null> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const outcome = await serve(program, port)
    if (outcome === 'ready') return port
    if (outcome === 'missing') return null

    /**
     * Somebody else may have taken the port meanwhile.
     */
    if (attempt === 5) throw new Error(`${program.command} ended:\n${outcome.output}`)
  }
}

function serve(
  { command, args, ready }: Program,
  port: number
): Promise<'ready' | 'missing' | { output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args(port), { stdio: ['ignore', 'pipe', 'ignore'] })
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
      if (!output.includes(ready)) return
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
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
