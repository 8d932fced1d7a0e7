/*
 * Prints the bytes of resident memory that stay behind for each failed try to acquire a held lock.
 *
 * Arguments: `loquet` or `@verrou/core`, the number of tries.
 */
import { openFactory } from '../harness/factories.mjs'
import { settleMemory } from '../harness/gc.mjs'

const name = /** @type {'loquet' | '@verrou/core'} */ (process.argv[2])
const count = Number(process.argv[3])
const factory = await openFactory(name)
// Reachable to the end: the collector takes a variable, and all that hangs on it, after its last use
Object.assign(globalThis, { kept: factory })

/**
 * Many at a time: a failed try of Verrou takes a timer's millisecond.
 *
 * @param {string} key
 * @param {number} tries
 */
async function tryInVain(key, tries) {
  for (let done = 0; done < tries; done += 1_000) {
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => factory.createLock(key).acquireImmediately())
    )
    if (answers.includes(true)) {
      throw new Error('acquired a lock that is held')
    }
  }
}

// Some on another key, which is then released, make the heap as large as it needs to be
const other = factory.createLock('orders.41', null)
await other.acquire()
await tryInVain('orders.41', 20_000)
await other.release()

await factory.createLock('orders.42', null).acquire()
await settleMemory()
const before = process.memoryUsage.rss()
await tryInVain('orders.42', count)
await settleMemory()
const after = process.memoryUsage.rss()

console.log((after - before) / count)
process.exit()
