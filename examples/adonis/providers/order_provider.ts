import type { ApplicationService } from '@adonisjs/core/types'
import { PaymentGateway } from '#services/payment_gateway'

export default class OrderProvider {
  constructor(protected app: ApplicationService) {}

  /**
   * One gateway for the whole application.
   */
  register() {
    this.app.container.singleton(PaymentGateway, () => new PaymentGateway())
  }

  /**
   * Jobs under way end, and with them their locks, before the application does.
   */
  async shutdown() {
    const { default: queue } = await import('#services/queue')
    await queue.settled()
  }
}
