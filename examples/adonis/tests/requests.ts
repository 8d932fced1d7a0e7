import type { ApiClient } from '@japa/api-client'

/**
 * What a request was answered with.
 */
export interface Answer {
  status: number
  text: string
}

export const ACCEPTED: Answer = { status: 202, text: 'Order will be processed' }
export const REFUSED: Answer = { status: 409, text: 'Order is already being processed' }
export const PROCESSED: Answer = { status: 200, text: 'Order processed successfully' }
export const TOLD_SO: Answer = { status: 200, text: 'Order is already being processed' }

/**
 * Asks for an order to be processed.
 */
export async function order(client: ApiClient, route: string, orderId: string): Promise<Answer> {
  const response = await client.post(route).json({ order_id: orderId })
  return { status: response.status(), text: response.text() }
}

/**
 * Asks for an order to be processed, at a server of a process of its own.
 */
export async function orderAt(url: string, route: string, orderId: string): Promise<Answer> {
  const response = await fetch(new URL(route, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'accept': 'application/json' },
    body: JSON.stringify({ order_id: orderId }),
  })
  return { status: response.status, text: await response.text() }
}

/**
 * Many promises, and when the first of them are settled.
 */
export class Race<T> {
  /**
   * The results so far, in the order in which they came.
   */
  results: T[] = []

  #all: Promise<T>[]
  #waiting: { count: number; resolve: (results: T[]) => void }[] = []

  constructor(contenders: Promise<T>[]) {
    this.#all = contenders.map(async (contender) => {
      const result = await contender
      this.results.push(result)
      for (const { count, resolve } of this.#waiting) {
        if (this.results.length >= count) resolve(this.results.slice(0, count))
      }
      return result
    })
  }

  /**
   * Resolves to the first results as soon as there are so many.
   */
  first(count: number): Promise<T[]> {
    const arrived = new Promise<T[]>((resolve) => this.#waiting.push({ count, resolve }))
    if (this.results.length >= count) return Promise.resolve(this.results.slice(0, count))
    return Promise.race([arrived, this.all().then((results) => results.slice(0, count))])
  }

  /**
   * Resolves to all results, in the order of the contenders.
   */
  all(): Promise<T[]> {
    return Promise.all(this.#all)
  }
}
