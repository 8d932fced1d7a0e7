import app from '@adonisjs/core/services/app'
import { PaymentGateway } from '#services/payment_gateway'

/**
 * What must not happen twice at the same time for one order.
 */
export async function processOrder(orderId: string) {
  const payments = await app.container.make(PaymentGateway)
  await payments.charge(orderId)
}
