/*
 * A process among others that lock the same key in Redis.
 *
 * Argument: the package that locks.
 */
import { serveAsMember } from '../harness/member.mjs'
import { openLocker } from '../harness/redis_contenders.mjs'

await serveAsMember(await openLocker(process.argv[2]), 300)
