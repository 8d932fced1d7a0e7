import { setTimeout } from 'node:timers/promises'
import env from '#start/env'

/**
 * The way to a payment service, or what stands for one: charging takes a while, and a customer who is charged twice
 * complains.
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
  protected async pay(orderId: string): Promise<void> {
    const url = env.get('PAYMENT_URL')
    if (!url) return setTimeout(env.get('PAYMENT_TIME', 2000))

    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ order_id: orderId }),
    })
    if (!response.ok) {
      throw new Error(`Payment of order "${orderId}" failed: ${await response.text()}`)
    }
  }
}
