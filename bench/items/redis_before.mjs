import { BEFORE, folderBefore } from '../harness/before.mjs'
import { contender, inFlight, oneByOne, views } from './redis_pair.mjs'

/** @import { Group } from '../harness/types.mjs' */

const targets = [{ against: BEFORE, atMostShare: 1.03 }]

/** @type {[string, string, Parameters<typeof contender>[1]][]} */
const ways = [
  ['one-by-one', 'a pair, one after another, beside another build', oneByOne],
  ['in-flight', 'a pair, 100 in flight, beside another build', inFlight],
]

/** @type {Group[]} */
export const groups =
  folderBefore() === undefined
    ? []
    : ways.map(([way, title, work]) => ({
        name: `redis-before/${way}`,
        slices: 24,
        views: views(`redis-before/${way}`, title, { time: targets, mainThread: targets }),
        contenders: [contender('loquet', work), contender(BEFORE, work)],
      }))
