import env from '#start/env'
import { MemoryQueue } from '#services/memory_queue'
import { RedisQueue } from '#services/redis_queue'

/**
 * The queue of the application. A job releases the lock that a request has acquired, so jobs run where the locks reach.
 * Locks in Redis, in a database or in DynamoDB reach other processes; the queue that does so is in Redis, too.
 */
const queue = env.get('LOCK_STORE') === 'redis' ? new RedisQueue() : new MemoryQueue()

export default queue
