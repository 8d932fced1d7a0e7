import type { RawOptions } from './settings.js'

/**
 * Reads what ioredis reads as a URL: `redis[s]://[user][:password]@host[:port][/db][?option=…]`, the same without a
 * protocol, a port, or the path of a unix socket.
 *
 * @throws TypeError if it can't be read
 */
export function parseRedisUrl(url: string): RawOptions {
  if (/^\d+$/.test(url)) return { port: Number(url) }

  const isRelative = url.startsWith('//')
  if (url.startsWith('/') && !isRelative) {
    const [path, query = ''] = splitOnce(url, '?')
    return { ...queryOf(new URLSearchParams(query)), path }
  }

  const hasProtocol = /^rediss?:\/\//i.test(url)
  const parsed = new URL(hasProtocol ? url : (isRelative ? 'redis:' : 'redis://') + url)
  const options = queryOf(parsed.searchParams)
  if (parsed.username || parsed.password) {
    options.username = decodeURIComponent(parsed.username)
    options.password = decodeURIComponent(parsed.password)
  }
  if (parsed.pathname.length > 1) {
    if (hasProtocol || isRelative) options.db = parsed.pathname.slice(1)
    else options.path = parsed.pathname
  }
  if (parsed.hostname) options.host = parsed.hostname.replace(/^\[|\]$/g, '')
  if (parsed.port) options.port = parsed.port
  return options
}

export function isEncrypted(url: string): boolean {
  return /^rediss:\/\//i.test(url)
}

function queryOf(parameters: URLSearchParams): RawOptions {
  return Object.fromEntries(parameters)
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator)
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + separator.length)]
}
