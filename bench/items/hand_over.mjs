import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { median } from 'd3-array'
import { openFactory } from '../harness/factories.mjs'
import { collect } from '../harness/gc.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

const key = 'orders.42'

/**
 * What a contender has to do here: `hold` acquires the lock and resolves to its release, `wait` runs
 * the body under the lock.
 *
 * @typedef {object} Queue
 * @property {() => Promise<() => unknown>} hold
 * @property {(body: () => Promise<void>) => Promise<unknown>} wait
 */

/**
 * @param {'loquet' | '@verrou/core'} name
 * @returns {Promise<Queue>}
 */
async function locks(name) {
  const factory = await openFactory(name)
  return {
    hold: async () => {
      const lock = factory.createLock(key)
      await lock.acquire()
      return () => lock.release()
    },
    wait: (body) => factory.createLock(key).run(body),
  }
}

/** @returns {Promise<Queue>} */
async function oneLock() {
  const factory = await openFactory('loquet')
  const lock = factory.createLock(key)
  return {
    hold: async () => {
      const holder = factory.createLock(key)
      await holder.acquire()
      return () => holder.release()
    },
    wait: (body) => lock.run(body),
  }
}

/** @returns {Promise<Queue>} */
async function mutex() {
  const { Mutex } = await import('async-mutex')
  const one = new Mutex()
  return {
    hold: () => one.acquire(),
    wait: (body) => one.runExclusive(body),
  }
}

/** @returns {Promise<Queue>} */
async function asyncLock() {
  const { default: AsyncLock } = await import('async-lock')
  const lock = new AsyncLock({ maxPending: Number.POSITIVE_INFINITY })
  return {
    hold: () =>
      new Promise((held) => {
        lock.acquire(key, () => new Promise((release) => held(() => release(undefined))))
      }),
    wait: (body) => lock.acquire(key, body),
  }
}

/**
 * The time a hand-over takes with `count` waiters in the queue: from the moment in which the holder
 * is told to release until the last waiter's body has run, divided by the waiters.
 *
 * @param {Queue} queue
 * @param {number} count
 * @param {number} work - Milliseconds that each waiter holds the lock; 0 for an empty body
 * @returns {Promise<number>} Milliseconds
 */
async function timeHandOver(queue, count, work) {
  let ran = 0
  let end = 0
  const ended = () => {
    if (++ran === count) {
      end = performance.now()
    }
  }
  const release = await queue.hold()
  const body = work === 0 ? async () => ended() : () => sleep(work).then(ended)
  const waiters = Array.from({ length: count }, () => queue.wait(body))
  // Queueing up is over before the clock starts
  await turn()
  const start = performance.now()
  await release()
  await Promise.all(waiters)
  return (end - start) / count
}

/**
 * @param {string} name
 * @param {() => Promise<Queue>} open
 * @param {(queue: Queue) => Promise<number>} time
 * @param {string} [from]
 * @returns {Contender}
 */
function contender(name, open, time, from = name) {
  return {
    name,
    package: from,
    open: async () => {
      const queue = await open()
      return () => time(queue)
    },
  }
}

const bursts = 9

/**
 * Microseconds: the median of a few bursts, each on a heap that was collected just before, as it is in
 * a process that had little to do.
 *
 * @param {Queue} queue
 */
async function quiet(queue) {
  const times = []
  for (let burst = 0; burst < bursts; burst++) {
    collect()
    await sleep(10)
    times.push((await timeHandOver(queue, 10_000, 0)) * 1_000)
  }
  return median(times) ?? Number.NaN
}

/**
 * Microseconds: the median of bursts one after another without a collection in between, as it is in a
 * process that has much to do. async-mutex shifts its array of waiters in place while that array is
 * young, and moves all of it otherwise.
 *
 * @param {Queue} queue
 */
async function repeated(queue) {
  const times = []
  for (let burst = 0; burst < bursts; burst++) {
    times.push((await timeHandOver(queue, 10_000, 0)) * 1_000)
  }
  return median(times) ?? Number.NaN
}

/** @param {Queue} queue */
const busy = (queue) => timeHandOver(queue, 20, 5)

/** @type {Group[]} */
export const groups = [
  ...[
    {
      name: 'quiet',
      title: 'empty body',
      time: quiet,
      targets: [{ against: 'async-mutex', atLeast: 5 }],
    },
    { name: 'repeated', title: 'empty body, again and again', time: repeated, targets: [] },
  ].map(({ name, title, time, targets }) => ({
    name: `hand-over/${name}`,
    title: `hand-over, 10,000 waiters, ${title}`,
    unit: 'µs',
    warmUps: 2,
    plot: true,
    contenders: [
      contender('loquet', () => locks('loquet'), time),
      contender('loquet, one object', oneLock, time, 'loquet'),
      contender('async-mutex', mutex, time),
      contender('async-lock', asyncLock, time),
    ],
    targets,
  })),
  {
    name: 'hand-over/busy',
    title: 'hand-over, 20 waiters, 5 ms body',
    unit: 'ms',
    // One of Verrou takes five seconds, and as much to warm up
    mostRounds: 5,
    plot: true,
    contenders: [
      contender('loquet', () => locks('loquet'), busy),
      contender('@verrou/core', () => locks('@verrou/core'), busy),
      contender('async-mutex', mutex, busy),
      contender('async-lock', asyncLock, busy),
    ],
    targets: [],
  },
]
