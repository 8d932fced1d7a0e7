/**
 * What is in a server.
 */
import type { RedisServer } from '../servers.js'

/** What begins with it is no lock: see the `count` of a member. */
export const COUNTER = 'counter:'

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

export async function keysOf(server: RedisServer, pattern = '*'): Promise<string[]> {
  return lines(await server.cli('KEYS', pattern))
}

/** What is left of locks. */
export async function remainsOf(server: RedisServer): Promise<string[]> {
  const keys = await keysOf(server)
  return keys.filter((key) => !key.startsWith(COUNTER))
}

/** Whether nothing is left of locks. */
export async function isFree(...servers: RedisServer[]): Promise<boolean> {
  for (const server of servers) {
    const remains = await remainsOf(server)
    if (remains.length > 0) return false
  }
  return true
}

/**
 * Counts keys, apart from counters and from lines that expire within five minutes. Done by a script, for a line's name is
 * no text.
 */
const COUNT_BUT_LINES = `
local count = 0
for _, key in ipairs(redis.call('keys', '*')) do
  local left = redis.call('pttl', key)
  local isLine = redis.call('type', key).ok == 'zset' and left > 0 and left <= 300000
  if not isLine and string.sub(key, 1, ${COUNTER.length}) ~= '${COUNTER}' then count = count + 1 end
end
return count`

/**
 * Whether nothing is left of locks but lines: a process that dies while it waits may stay in one until nobody has touched
 * it for five minutes.
 */
export async function isFreeButLines(server: RedisServer): Promise<boolean> {
  return (await server.cli('EVAL', COUNT_BUT_LINES, 0)) === '0'
}

/** The sum of all counters. */
export async function countedIn(server: RedisServer): Promise<number> {
  let sum = 0
  for (const key of await keysOf(server, `${COUNTER}*`)) sum += Number(await server.cli('GET', key))
  return sum
}

/** How many channels somebody listens to. */
export async function channelsOf(server: RedisServer): Promise<number> {
  const channels = lines(await server.cli('PUBSUB', 'CHANNELS'))
  return channels.length
}
