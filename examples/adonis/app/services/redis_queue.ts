import redis from '@adonisjs/redis/services/main'
import { type Jobs, messageOf, runJob } from '#services/jobs'

const LIST = 'orders:jobs'

/**
 * How long to wait for a job before looking whether it is time to stop, in seconds.
 */
const PATIENCE = 1

/**
 * A list in Redis: any process dispatches, `node ace queue:work` does the work.
 *
 * BRPOP takes the job off the list, so a process that is killed takes its job with it. The lock of that job is free again
 * when its TTL is over. A queue for production, such as BullMQ, has the job done by somebody else.
 */
export class RedisQueue {
  /**
   * Resolves when the job is on the list.
   */
  async dispatch<Name extends keyof Jobs>(job: Name, payload: Jobs[Name]): Promise<void> {
    await redis.connection('queue').lpush(LIST, messageOf(job, payload))
  }

  /**
   * Runs one job after another. Resolves once the signal is aborted and the job under way has ended; rejects if the
   * server is lost.
   */
  async work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const taken = await redis.connection('queue').brpop(LIST, PATIENCE)
      if (taken) await runJob(taken[1])
    }
  }

  /**
   * There is nothing to wait for: the jobs run in other processes.
   */
  async settled(): Promise<void> {}
}
