import { type Jobs, messageOf, runJob } from '#services/jobs'

/**
 * The smallest queue that does the job: in this process and as many jobs at once as there are.
 */
export class MemoryQueue {
  #running = new Set<Promise<void>>()

  /**
   * Runs a job in the background. The payload is carried as JSON, as it would be to another process.
   */
  async dispatch<Name extends keyof Jobs>(job: Name, payload: Jobs[Name]): Promise<void> {
    const running = runJob(messageOf(job, payload)).finally(() => {
      this.#running.delete(running)
    })
    this.#running.add(running)
  }

  /**
   * Resolves when all jobs have ended, those that failed included.
   */
  async settled(): Promise<void> {
    while (this.#running.size > 0) {
      await Promise.all(this.#running)
    }
  }
}
