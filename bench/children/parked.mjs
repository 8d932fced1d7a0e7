/*
 * Prints the kilobytes of resident memory that one parked waiter takes.
 *
 * Arguments: the way of parking, the number of waiters.
 */
import { openFactory } from '../harness/factories.mjs'
import { settleMemory } from '../harness/gc.mjs'

const key = 'orders.42'

/**
 * Each way holds the lock and returns what parks one more waiter.
 *
 * @type {Record<string, () => Promise<() => Promise<unknown>>>}
 */
const ways = {
  'loquet': async () => {
    const factory = await openFactory('loquet')
    await factory.createLock(key, null).acquire()
    return () => factory.createLock(key).acquire()
  },

  'loquet-one': async () => {
    const factory = await openFactory('loquet')
    await factory.createLock(key, null).acquire()
    const lock = factory.createLock(key)
    return () => lock.acquire()
  },

  '@verrou/core': async () => {
    const factory = await openFactory('@verrou/core')
    await factory.createLock(key, null).acquire()
    // Each poll of a waiter leaves something behind in the store, so that its size depends on when one
    // looks. An hour between two polls shows a waiter that has polled only once
    return () => factory.createLock(key).acquire({ retry: { delay: 3_600_000 } })
  },

  'async-mutex': async () => {
    const { Mutex } = await import('async-mutex')
    const mutex = new Mutex()
    await mutex.acquire()
    return () => mutex.acquire()
  },

  'async-lock': async () => {
    const { default: AsyncLock } = await import('async-lock')
    const lock = new AsyncLock({ maxPending: Number.POSITIVE_INFINITY })
    lock.acquire(key, () => new Promise(() => {}))
    const body = async () => {}
    return () => lock.acquire(key, body)
  },
}

const way = process.argv[2]
const count = Number(process.argv[3])
const park = await ways[way]()

// In place before the first look: the array, and whatever is made once on the way
const promises = new Array(count).fill(null)
const first = Array.from({ length: 1_000 }, park)
// Reachable to the end: the collector takes a variable, and a whole queue with it, after its last use
Object.assign(globalThis, { kept: { park, promises, first } })

await settleMemory()
const before = process.memoryUsage.rss()
for (let index = 0; index < count; index++) {
  promises[index] = park()
}
await settleMemory()
const after = process.memoryUsage.rss()

console.log((after - before) / count / 1_024)
// The waiters would keep the process alive
process.exit()
