import env from '#start/env'
import { MemoryQueue } from '#services/memory_queue'
import { RedisQueue } from '#services/redis_queue'

/**
 * The queue of the application. A job releases the lock that a request has acquired, so jobs run where the locks reach:
 * in other processes only if the locks are in Redis.
 */
const queue = env.get('LOCK_STORE') === 'redis' ? new RedisQueue() : new MemoryQueue()

export default queue
