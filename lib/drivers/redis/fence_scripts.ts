/**
 * Fencing tokens in Redis, over a connection of the app. The counter is that of the native store, see
 * `src/store/redis/scripts.rs`: its name, its value, and the rule for the next token.
 */
import { script } from './script.js'

/**
 * The counter's name. It is made in the script, for only there the key is as the server has it: ioredis puts its prefix
 * before whatever it is given as a key, and in a cluster the name begins with a tag.
 */
const NAME = String.raw`
local fence = KEYS[1]
if ARGV[2] == fence then
  fence = '{' .. fence .. '}'
elseif ARGV[2] ~= '' then
  fence = '{' .. ARGV[2] .. '}:' .. fence
end
fence = fence .. ':loquet:fence\255'
`

/**
 * Acquires with a token. Key: lock. Arguments: owner, tag (empty unless in a cluster), TTL (empty: none), the clock of the
 * caller in microseconds, for users who may not ask for the server's. Returns the token, or 0 if somebody holds the lock.
 */
export const SAVE_FENCED = script(`${NAME}
if redis.call('exists', KEYS[1]) == 1 then return 0 end
local time = redis.pcall('time')
time = time.err and tonumber(ARGV[4]) or time[1] * 1000000 + time[2]
local token = math.max((tonumber(redis.call('get', fence)) or 0) + 1, time)
token = string.format('%.0f', token)
redis.call('set', fence, token, 'PX', 604800000)
if ARGV[3] == '' then
  redis.call('set', KEYS[1], ARGV[1])
else
  redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[3])
end
return token
`)

/** The token of what the owner has acquired, or 0 if it doesn't hold the lock. Key and arguments as above. */
export const TOKEN_OF = script(`${NAME}
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('get', fence)
`)

/** A hash tag in whose slot a cluster has the key. */
export function tagOf(key: string): string {
  const own = hashTag(key)
  // In braces, it must read as itself again.
  if (!/[{}]/.test(own)) return own
  const wanted = slotOf(own)
  let number = 0
  while (slotOf(String(number)) !== wanted) number++
  return String(number)
}

/** The part of a key that decides where it lies: what stands in the first pair of braces, if that is anything. */
function hashTag(key: string): string {
  const open = key.indexOf('{')
  const close = key.indexOf('}', open + 1)
  return open !== -1 && close > open + 1 ? key.slice(open + 1, close) : key
}

/** CRC-16/XMODEM, as the specification of clusters has it. */
function slotOf(tag: string): number {
  let crc = 0
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff
  }
  return crc % 16_384
}
