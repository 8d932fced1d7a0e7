import { median } from 'd3-array'
import { openFactory } from '../harness/factories.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

const locks = 20

/**
 * How long after its end a lease that is never released reaches the waiter: the median of locks whose
 * TTLs are spread over one polling interval of Verrou, so that no phase of it is favoured.
 *
 * @param {'loquet' | '@verrou/core'} name
 * @returns {Contender}
 */
function lateness(name) {
  return {
    name,
    package: name,
    open: async () => {
      const factory = await openFactory(name)
      return async () => {
        const delays = Array.from({ length: locks }, async (_, index) => {
          const ttl = 100 + (250 / locks) * index
          const key = `orders.${index}`
          await factory.createLock(key, ttl).acquire()
          const start = performance.now()
          const waiter = factory.createLock(key)
          await waiter.acquire()
          const late = performance.now() - start - ttl
          await waiter.forceRelease()
          return late
        })
        return median(await Promise.all(delays)) ?? Number.NaN
      }
    },
  }
}

/** @type {Group[]} */
export const groups = [
  {
    name: 'expiry',
    title: 'grant after the end of a lease, lateness',
    unit: 'ms',
    contenders: [lateness('loquet'), lateness('@verrou/core')],
    targets: [],
  },
]
