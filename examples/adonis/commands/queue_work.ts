import { BaseCommand } from '@adonisjs/core/ace'
import type { CommandOptions } from '@adonisjs/core/types/ace'

export default class QueueWork extends BaseCommand {
  static commandName = 'queue:work'
  static description =
    'Run the jobs that other processes dispatch, until the process is told to end'
  static help = [
    'With SIGTERM or SIGINT it ends the job under way and then itself. Start as many of them as there is work for.',
  ]

  static options: CommandOptions = { startApp: true }

  async run() {
    const { default: env } = await import('#start/env')
    const { default: queue } = await import('#services/queue')
    const { RedisQueue } = await import('#services/redis_queue')

    if (!(queue instanceof RedisQueue)) {
      this.exitCode = 1
      this.logger.error(
        `With LOCK_STORE=${env.get('LOCK_STORE')} jobs run in the process that dispatches them`
      )
      return
    }

    const stop = new AbortController()
    const working = queue.work(stop.signal)
    this.app.terminating(async () => {
      stop.abort()
      await working.catch(() => {})
    })

    this.app.listen('SIGINT', () => this.app.terminate())

    this.logger.info('waiting for jobs')
    await working
  }
}
