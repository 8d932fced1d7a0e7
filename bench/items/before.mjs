import { BEFORE, folderBefore, importCopy } from '../harness/before.mjs'
import { timePair } from '../harness/time_pair.mjs'

/** @import { Contender, Group } from '../harness/types.mjs' */

/** Nanoseconds of CPU that a slice takes. */
const slice = 60e6

/** A pair of a memory store, in the ways that it is used. */
const ways = {
  run: {
    title: 'createLock().run(), one key',
    /** @param {any} factory */
    pair: (factory) => () => factory.createLock('orders.42').run(async () => {}),
  },
  rotating: {
    title: 'createLock().run(), 1,000 keys in turn',
    /** @param {any} factory */
    pair: (factory) => {
      const keys = Array.from({ length: 1_000 }, (_, index) => `orders.${index}`)
      let next = 0
      return () => factory.createLock(keys[next++ % keys.length]).run(async () => {})
    },
  },
  acquire: {
    title: 'acquire(), release()',
    /** @param {any} factory */
    pair: (factory) => async () => {
      const lock = factory.createLock('orders.42')
      await lock.acquire()
      await lock.release()
    },
  },
}

/**
 * @param {string} name
 * @param {keyof typeof ways} way
 * @returns {Contender}
 */
function contender(name, way) {
  return {
    name,
    package: 'loquet',
    open: async () => {
      const { LockFactory, MemoryStore } = await importCopy(name)
      const pair = ways[way].pair(new LockFactory(new MemoryStore()))
      for (let turn = 0; turn < 3; turn++) await timePair(pair, slice)
      return async () => ({ time: await timePair(pair, slice) })
    },
  }
}

/** @type {Group[]} */
export const groups =
  folderBefore() === undefined
    ? []
    : /** @type {(keyof typeof ways)[]} */ (Object.keys(ways)).map((way) => ({
        name: `before/${way}`,
        title: `${ways[way].title}, beside another build`,
        unit: 'µs',
        of: 'time',
        slices: 4,
        contenders: [contender('loquet', way), contender(BEFORE, way)],
        targets: [{ against: BEFORE, atMostShare: 1.03 }],
      }))
