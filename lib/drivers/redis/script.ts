import { createHash } from 'node:crypto'

import type { RedisConnection } from '../../types/main.js'

/** A script, and what a server that has it knows it by. */
export interface Script {
  text: string
  digest: string
}

/** What ioredis has and doubles may lack. */
interface Evalsha {
  evalsha?(digest: string, numberOfKeys: number, ...args: string[]): Promise<unknown>
}

export function script(text: string): Script {
  return { text, digest: createHash('sha1').update(text).digest('hex') }
}

/** Runs a script by its digest; where the server doesn't have it, by its text, which makes the server keep it. */
export async function evaluate(
  connection: RedisConnection & Evalsha,
  { text, digest }: Script,
  key: string,
  ...args: string[]
): Promise<unknown> {
  const all = [key, ...args]
  if (typeof connection.evalsha === 'function') {
    try {
      return await connection.evalsha(digest, 1, ...all)
    } catch (error) {
      if (!/^NOSCRIPT|unknown command/i.test(String((error as Error).message))) throw error
    }
  }
  return connection.eval(text, 1, ...all)
}
