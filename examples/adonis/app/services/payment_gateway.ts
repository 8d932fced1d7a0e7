import { setTimeout } from 'node:timers/promises'
import env from '#start/env'

/**
 * Stands for a payment service: charging takes a while, and a customer who is charged twice complains.
 */
export class PaymentGateway {
  #charging = new Set<string>()

  /**
   * Charges an order. Rejects if the same order is being charged already, which is what the locks are to prevent.
   */
  async charge(orderId: string) {
    if (this.#charging.has(orderId)) {
      throw new Error(`Order "${orderId}" is charged twice at the same time`)
    }

    this.#charging.add(orderId)
    try {
      await this.pay(orderId)
    } finally {
      this.#charging.delete(orderId)
    }
  }

  /**
   * The payment itself.
   */
  protected async pay(_orderId: string): Promise<void> {
    await setTimeout(env.get('PAYMENT_TIME', 2000))
  }
}
