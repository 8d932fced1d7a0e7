import app from '@adonisjs/core/services/app'
import type { Test } from '@japa/runner/core'
import { PaymentGateway } from '#services/payment_gateway'

interface Payment {
  resolve: () => void
  reject: (error: Error) => void
}

/**
 * A gateway whose payments end when the test says so: a race then depends on no clock.
 */
export class HeldGateway extends PaymentGateway {
  /**
   * The orders that were charged, in order. Failed payments count too.
   */
  charged: string[] = []

  #payments = new Map<string, Payment>()
  #arrivals: { count: number; resolve: () => void }[] = []

  /**
   * Puts the gateway into the application until the test is over.
   */
  static use(test: Test) {
    const gateway = new HeldGateway()
    app.container.swap(PaymentGateway, () => gateway)
    test.cleanup(() => {
      app.container.restore(PaymentGateway)
      gateway.settleAll()
    })
    return gateway
  }

  /**
   * Lets the payment of the order succeed.
   */
  settle(orderId: string) {
    this.#take(orderId).resolve()
  }

  /**
   * Lets the payment of the order fail.
   */
  fail(orderId: string) {
    this.#take(orderId).reject(new Error(`Payment of order "${orderId}" failed`))
  }

  /**
   * Lets all payments under way succeed: a test that fails in the middle of them leaves no request without an answer.
   */
  settleAll() {
    for (const orderId of [...this.#payments.keys()]) this.settle(orderId)
  }

  /**
   * Resolves when so many payments have begun since the test did.
   */
  async begun(count: number) {
    if (this.charged.length >= count) return
    await new Promise<void>((resolve) => this.#arrivals.push({ count, resolve }))
  }

  protected override pay(orderId: string) {
    return new Promise<void>((resolve, reject) => {
      this.#payments.set(orderId, { resolve, reject })
      this.charged.push(orderId)
      this.#arrivals = this.#arrivals.filter((arrival) => {
        if (this.charged.length < arrival.count) return true
        arrival.resolve()
        return false
      })
    })
  }

  #take(orderId: string) {
    const payment = this.#payments.get(orderId)
    if (!payment) throw new Error(`Order "${orderId}" is not being charged`)
    this.#payments.delete(orderId)
    return payment
  }
}
