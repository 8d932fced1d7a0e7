/**
 * What became of the requests of one burst.
 */
export interface BurstResult {
  /** Where the requests went; a burst over several routes takes them in turn. */
  routes: string[]
  orderId: string
  requests: number
  /** Answered with "Order processed successfully". */
  processed: number
  /** Answered with "Order is already being processed". */
  toldSo: number
  /** Everything else: errors of the server, other answers, no answer. */
  failures: string[]
  /** Milliseconds until the last answer. */
  duration: number
}

/**
 * Sends all requests for one order at the same moment.
 */
export async function burst(
  url: string,
  options: { routes: string[]; orderId: string; requests: number }
): Promise<BurstResult> {
  const start = performance.now()
  const { routes, orderId, requests } = options

  const answers = await Promise.all(
    Array.from({ length: requests }, async (_, index) => {
      try {
        const response = await fetch(new URL(routes[index % routes.length], url), {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'accept': 'application/json' },
          body: JSON.stringify({ order_id: orderId }),
        })
        const body = await response.text()
        return response.ok ? body : `${response.status} ${firstLine(body)}`
      } catch (error) {
        return `no answer: ${error.cause?.message ?? error.message}`
      }
    })
  )

  const result: BurstResult = {
    routes,
    orderId,
    requests,
    processed: 0,
    toldSo: 0,
    failures: [],
    duration: performance.now() - start,
  }
  for (const answer of answers) {
    if (answer === 'Order processed successfully') result.processed++
    else if (answer === 'Order is already being processed') result.toldSo++
    else result.failures.push(answer)
  }
  return result
}

/**
 * Tells whether exactly one request processed the order and all others were told so.
 */
export function isExclusive({ processed, toldSo, requests }: BurstResult) {
  return processed === 1 && toldSo === requests - 1
}

/**
 * The first line of an error response, short enough for a table.
 */
function firstLine(body: string) {
  try {
    const { message, errors } = JSON.parse(body)
    return String(message ?? errors?.[0]?.message ?? body).slice(0, 80)
  } catch {
    return body.split('\n', 1)[0].slice(0, 80)
  }
}
