import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HeldGateway } from '#tests/held_gateway'

/**
 * A payment service for processes of their own: their payments end when the test says so, and it refuses to charge an
 * order that any of them is charging already.
 */
export class PaymentService {
  #gateway = new HeldGateway()
  #server: Server

  /**
   * Resolves when the service takes payments at `url`.
   */
  static async start() {
    const service = new PaymentService()
    await new Promise<void>((resolve) => service.#server.listen(0, '127.0.0.1', resolve))
    return service
  }

  private constructor() {
    this.#server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      try {
        await this.#gateway.charge(JSON.parse(body).order_id)
        response.end('paid')
      } catch (error) {
        response.writeHead(402).end(error.message)
      }
    })
  }

  get url() {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /**
   * Forgets what has been charged. Returns where payments are held from now on.
   */
  renew() {
    this.#gateway = new HeldGateway()
    return this.#gateway
  }

  /**
   * Ends with all payments under way.
   */
  async stop() {
    this.#gateway.settleAll()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
