import { openFactory } from '../harness/factories.mjs'
import { timePair } from '../harness/time_pair.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

const rotation = 1_000

/**
 * Where the key of each pair comes from. Every contender has a series of its own.
 *
 * @type {Record<string, { title: string, keys: () => () => string }>}
 */
const series = {
  constant: {
    title: 'one key',
    keys: () => () => 'orders.42',
  },
  rotating: {
    title: '1,000 keys in turn',
    keys: () => {
      const keys = Array.from({ length: rotation }, (_, index) => `orders.${index}`)
      let next = 0
      return () => keys[next++ % rotation]
    },
  },
  fresh: {
    title: '1,000 keys in turn, each string made anew',
    keys: () => {
      let next = 0
      return () => `orders.${next++ % rotation}`
    },
  },
}

/**
 * @param {'loquet' | '@verrou/core'} name
 * @param {() => () => string} keys
 * @returns {Contender}
 */
function run(name, keys) {
  return {
    name,
    package: name,
    open: async () => {
      const factory = await openFactory(name)
      const next = keys()
      return () => timePair(() => factory.createLock(next()).run(async () => {}))
    },
  }
}

/**
 * @param {() => () => string} keys
 * @returns {Contender}
 */
function mutexPerKey(keys) {
  return {
    name: 'async-mutex',
    package: 'async-mutex',
    open: async () => {
      const { Mutex } = await import('async-mutex')
      const mutexes = new Map()
      const next = keys()
      return () =>
        timePair(() => {
          const key = next()
          let mutex = mutexes.get(key)
          if (!mutex) {
            mutex = new Mutex()
            mutexes.set(key, mutex)
          }
          return mutex.runExclusive(async () => {})
        })
    },
  }
}

/** @type {Contender} */
const oneMutex = {
  name: 'async-mutex, one object',
  package: 'async-mutex',
  open: async () => {
    const { Mutex } = await import('async-mutex')
    const mutex = new Mutex()
    return () => timePair(() => mutex.runExclusive(async () => {}))
  },
}

/**
 * @param {() => () => string} keys
 * @returns {Contender}
 */
function asyncLock(keys) {
  return {
    name: 'async-lock',
    package: 'async-lock',
    open: async () => {
      const { default: AsyncLock } = await import('async-lock')
      const lock = new AsyncLock()
      const next = keys()
      return () => timePair(() => lock.acquire(next(), async () => {}))
    },
  }
}

/**
 * @param {'loquet' | '@verrou/core'} name
 * @returns {Contender}
 */
function acquireAndRelease(name) {
  return {
    name,
    package: name,
    open: async () => {
      const factory = await openFactory(name)
      return () =>
        timePair(async () => {
          const lock = factory.createLock('orders.42')
          await lock.acquire()
          await lock.release()
        })
    },
  }
}

/**
 * @param {'loquet' | '@verrou/core'} name
 * @returns {Contender}
 */
function acquireAndReleaseAgain(name) {
  return {
    name: `${name}, one object`,
    package: name,
    open: async () => {
      const factory = await openFactory(name)
      const lock = factory.createLock('orders.42')
      return () =>
        timePair(async () => {
          await lock.acquire()
          await lock.release()
        })
    },
  }
}

/** @type {Contender} */
const mutexAcquire = {
  name: 'async-mutex, one object',
  package: 'async-mutex',
  open: async () => {
    const { Mutex } = await import('async-mutex')
    const mutex = new Mutex()
    return () =>
      timePair(async () => {
        const release = await mutex.acquire()
        release()
      })
  },
}

/** @type {Group[]} */
export const groups = [
  ...Object.entries(series).map(([name, { title, keys }]) => ({
    name: `pair/${name}`,
    title: `createLock().run(), ${title}`,
    unit: 'µs',
    // The optimizing compiler works in the background, late on a busy machine
    warmUps: 3,
    plot: true,
    contenders: [
      run('loquet', keys),
      run('@verrou/core', keys),
      mutexPerKey(keys),
      ...(name === 'constant' ? [oneMutex] : []),
      asyncLock(keys),
    ],
    targets:
      name === 'fresh'
        ? []
        : [
            { against: '@verrou/core', atLeast: 8 },
            { against: 'async-mutex', atLeast: 1.5 },
            { against: 'async-mutex, one object', atLeast: 1.5 },
          ],
  })),
  {
    name: 'pair/acquire',
    title: 'acquire(), release()',
    unit: 'µs',
    // The optimizing compiler works in the background, late on a busy machine
    warmUps: 3,
    plot: true,
    contenders: [
      acquireAndRelease('loquet'),
      acquireAndReleaseAgain('loquet'),
      acquireAndRelease('@verrou/core'),
      acquireAndReleaseAgain('@verrou/core'),
      mutexAcquire,
    ],
    targets: [],
  },
]
