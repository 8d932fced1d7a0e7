/*
 * Takes and gives back a first lock on the run's server, to tell whether the package that its argument
 * names works here; prints the milliseconds.
 */
import { openLocker } from '../harness/redis_contenders.mjs'

const start = performance.now()
await openLocker(process.argv[2])
console.log(performance.now() - start)
process.exit()
