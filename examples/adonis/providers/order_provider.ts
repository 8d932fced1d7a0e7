import type { ApplicationService } from '@adonisjs/core/types'
import { PaymentGateway } from '#services/payment_gateway'

export default class OrderProvider {
  constructor(protected app: ApplicationService) {}

  /**
   * One gateway for the whole application.
   */
  register() {
    this.app.container.singleton(PaymentGateway, () => new PaymentGateway())
    this.#endJobs()
  }

  ready() {
    this.#endJobs()
  }

  /**
   * Jobs under way end, and with them their locks, before what is still locked is released: that happens after the
   * last of these hooks. AdonisJS 6 calls them in the order in which they are added, AdonisJS 7 in reverse order; one of
   * the two comes after the HTTP server has taken its last request, which may have dispatched a job.
   */
  #endJobs() {
    this.app.terminating(async () => {
      const { default: queue } = await import('#services/queue')
      await queue.settled()
    })
  }
}
