import { BaseCommand, flags } from '@adonisjs/core/ace'
import { burst, isExclusive, type BurstResult } from '#services/burst'

const BURSTS = [['/orders/manual'], ['/orders/automatic'], ['/orders/manual', '/orders/automatic']]

export default class Burst extends BaseCommand {
  static commandName = 'burst'
  static description = 'Fire bursts of racing requests at a running server'
  static help = [
    'Sends many requests for the same order at once and counts the answers: of each burst exactly one request may',
    'process the order. Exits with 1 if it was otherwise.',
    '',
    'Orders are processed again once their lock is free, so a payment has to take longer than a burst needs to arrive:',
    'see PAYMENT_TIME.',
  ]

  @flags.string({ description: 'Where the server listens', default: 'http://localhost:3333' })
  declare url: string

  @flags.number({ description: 'How many orders to race for, each with a burst', default: 4 })
  declare orders: number

  @flags.number({ description: 'How many requests a burst has', default: 25 })
  declare requests: number

  async run() {
    if (!(this.orders >= 1 && this.requests >= 1)) {
      this.exitCode = 1
      this.logger.error('--orders and --requests must be at least 1')
      return
    }

    try {
      await this.#connect()
    } catch (error) {
      this.exitCode = 1
      this.logger.error(`No server at ${this.url}: ${error.cause?.message ?? error.message}`)
      return
    }

    const results: BurstResult[] = []
    for (const routes of BURSTS) {
      results.push(
        ...(await Promise.all(
          Array.from({ length: this.orders }, (_, index) =>
            burst(this.url, { routes, orderId: String(1001 + index), requests: this.requests })
          )
        ))
      )
    }

    this.#report(results)
  }

  /**
   * Opens the connections beforehand: the requests of a burst are to arrive together.
   */
  async #connect() {
    await Promise.all(
      Array.from({ length: this.orders * this.requests }, async () => {
        const response = await fetch(this.url)
        await response.text()
      })
    )
  }

  #report(results: BurstResult[]) {
    const columns = ['Route', 'Order', 'Requests', 'Processed', 'Told so', 'Failed', 'Took']
    const rows = results.map((result) => [
      result.routes.map((route) => route.split('/').at(-1)).join(' + '),
      result.orderId,
      ...[result.requests, result.processed, result.toldSo, result.failures.length].map(String),
      `${Math.round(result.duration)} ms`,
    ])
    const widths = columns.map((column, index) =>
      Math.max(column.length, ...rows.map((row) => row[index].length))
    )
    const format = ([route, ...cells]: string[]) =>
      [
        route.padEnd(widths[0]),
        ...cells.map((cell, index) => cell.padStart(widths[index + 1])),
      ].join('   ')

    this.logger.log(this.colors.dim(format(columns)))
    for (const [index, row] of rows.entries()) {
      const verdict = isExclusive(results[index])
        ? this.colors.green('ok')
        : this.colors.red('wrong')
      this.logger.log(`${format(row)}   ${verdict}`)
    }
    this.logger.log('')

    for (const failure of new Set(results.flatMap(({ failures }) => failures))) {
      this.logger.error(failure)
    }

    const wrong = results.filter((result) => !isExclusive(result))
    if (wrong.length > 0) {
      this.exitCode = 1
      this.logger.error(
        `In ${wrong.length} of ${results.length} bursts it was not exactly one request that processed the order`
      )
      return
    }
    this.logger.success(
      `${results.length} bursts of ${this.requests} requests: each order was processed once, all others were told so`
    )
  }
}
