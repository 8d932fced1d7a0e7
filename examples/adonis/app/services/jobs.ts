import logger from '@adonisjs/core/services/logger'
import type { ProcessOrder } from '#jobs/process_order'

/**
 * The payload of each job, by the name under which it is dispatched.
 */
export interface Jobs {
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
 * A job as a queue carries it.
 */
export function messageOf<Name extends keyof Jobs>(job: Name, payload: Jobs[Name]): string {
  return JSON.stringify({ job, payload })
}

/**
 * Runs the job of a message. Nobody waits for a job, so its error ends in the log.
 */
export async function runJob(message: string): Promise<void> {
  const { job, payload }: { job: keyof Jobs; payload: Jobs[keyof Jobs] } = JSON.parse(message)
  try {
    await handlers[job](payload)
  } catch (error) {
    logger.error({ err: error, job }, 'job failed')
  }
}
