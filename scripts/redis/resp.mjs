// One request to a Redis server at a time, over a connection of its own: enough to look at a server and to steer it.
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** Milliseconds until an answer has to be there. A paused server gives none. */
const LIMIT = 15_000

/** A command as the bytes of the protocol. Arguments may be strings or buffers. */
function encode(args) {
  const parts = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}

/** Reads one reply from `offset` on: its value and where it ends, or undefined if it isn't complete. */
function decode(bytes, offset, encoding) {
  const lineEnd = bytes.indexOf('\r\n', offset)
  if (lineEnd === -1) return undefined
  const line = bytes.toString('utf8', offset + 1, lineEnd)
  const next = lineEnd + 2
  switch (String.fromCharCode(bytes[offset])) {
    case '+':
      return { value: line, next }
    case '-':
      return { value: new Error(line), next }
    case ':':
      return { value: Number(line), next }
    case '$': {
      if (line === '-1') return { value: null, next }
      const end = next + Number(line)
      if (bytes.length < end + 2) return undefined
      return { value: bytes.toString(encoding, next, end), next: end + 2 }
    }
    case '*': {
      if (line === '-1') return { value: null, next }
      const value = []
      let at = next
      for (let index = 0; index < Number(line); index++) {
        const item = decode(bytes, at, encoding)
        if (item === undefined) return undefined
        value.push(item.value)
        at = item.next
      }
      return { value, next: at }
    }
    default:
      throw new Error(`not the Redis protocol: ${line}`)
  }
}

/**
 * Sends commands over one connection and resolves to their replies: strings, numbers, arrays, null. An error reply
 * rejects.
 *
 * @param address - `{ host, port }` or `{ path }`, `password` if one is needed, `tls` with what node:tls takes
 * @param commands - Arrays of arguments
 * @param options - `limit` in milliseconds; `encoding`: what texts are read as
 */
export function request(address, commands, { limit = LIMIT, encoding = 'utf8' } = {}) {
  if (commands.length === 0) return Promise.resolve([])
  const { tls, password, ...target } = address
  const all = password === undefined ? commands : [['AUTH', password], ...commands]
  return new Promise((resolve, reject) => {
    const socket = tls ? connectTls({ ...target, ...tls }) : connectTcp(target)
    const replies = []
    // Made here, since the stack of an answer tells nothing of who asked.
    const refused = new Error('refused')
    let bytes = Buffer.alloc(0)
    const fail = (error) => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => fail(new Error(`no answer within ${limit} ms`)), limit)
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('the connection was closed before the answer')))
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      for (let reply; bytes.length > 0 && (reply = decode(bytes, 0, encoding)) !== undefined;) {
        bytes = bytes.subarray(reply.next)
        if (reply.value instanceof Error) {
          const [name, ...args] = all[replies.length]
          refused.message = `${reply.value.message} (${name} ${name === 'AUTH' ? '...' : args.join(' ')})`
          return fail(refused)
        }
        replies.push(reply.value)
      }
      if (replies.length === all.length) {
        clearTimeout(timer)
        resolve(replies.slice(all.length - commands.length))
        socket.destroy()
      }
    })
    for (const command of all) socket.write(encode(command))
  })
}

/** A reply as `redis-cli` prints it where its output isn't a terminal. */
export function print(reply) {
  if (reply === null) return ''
  return Array.isArray(reply) ? reply.map(print).join('\n') : String(reply)
}
