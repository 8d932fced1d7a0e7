import logger from '@adonisjs/core/services/logger'
import type { ProcessOrder } from '#jobs/process_order'

/**
 * The payload of each job, by the name under which it is dispatched.
 */
interface Jobs {
  'app/jobs/process_order': Parameters<ProcessOrder['handle']>[0]
}

const handlers: {
  [Name in keyof Jobs]: (payload: Jobs[Name]) => Promise<void>
} = {
  'app/jobs/process_order': async (payload) => {
    const { ProcessOrder } = await import('#jobs/process_order')
    await new ProcessOrder().handle(payload)
  },
}

/**
 * The smallest queue that does the job: in this process and as many jobs at once as there are. The memory store locks
 * within one process, so a worker process of its own needs the redis or the database store.
 */
class Queue {
  #running = new Set<Promise<void>>()

  /**
   * Runs a job in the background. The payload is carried as JSON, as it would be to another process.
   */
  dispatch<Name extends keyof Jobs>(name: Name, payload: Jobs[Name]) {
    const running = this.#run(name, JSON.stringify(payload)).finally(() => {
      this.#running.delete(running)
    })
    this.#running.add(running)
  }

  /**
   * Resolves when all jobs have ended, those that failed included.
   */
  async settled() {
    while (this.#running.size > 0) {
      await Promise.all(this.#running)
    }
  }

  /**
   * Nobody waits for a job, so its error ends in the log.
   */
  async #run<Name extends keyof Jobs>(name: Name, message: string) {
    try {
      await handlers[name](JSON.parse(message))
    } catch (error) {
      logger.error({ err: error, job: name }, 'job failed')
    }
  }
}

export default new Queue()
