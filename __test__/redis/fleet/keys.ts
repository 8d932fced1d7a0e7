/**
 * What is in a server.
 */
import type { RedisServer } from '../servers.js'

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

export async function keysOf(server: RedisServer, pattern = '*'): Promise<string[]> {
  return lines(await server.cli('KEYS', pattern))
}

/** Whether nothing is left of locks. */
export async function isFree(server: RedisServer): Promise<boolean> {
  const keys = await keysOf(server)
  return keys.length === 0
}

/**
 * The keys apart from lines that expire within five minutes. Done by a script, for a line's name is no
 * text.
 */
const ALL_BUT_LINES = `
local found = {}
for _, key in ipairs(redis.call('keys', '*')) do
  local left = redis.call('pttl', key)
  local isLine = redis.call('type', key).ok == 'zset' and left > 0 and left <= 300000
  if not isLine then table.insert(found, key) end
end
return found`

/**
 * What is left of locks, but for lines: a process that dies while it waits, or can't say that it no longer does, may stay
 * in one until nobody has touched it for five minutes.
 */
export async function leasesIn(server: RedisServer): Promise<string[]> {
  return lines(await server.cli('EVAL', ALL_BUT_LINES, 0))
}

export async function hasNoLeases(...servers: RedisServer[]): Promise<boolean> {
  for (const server of servers) {
    const leases = await leasesIn(server)
    if (leases.length > 0) return false
  }
  return true
}
