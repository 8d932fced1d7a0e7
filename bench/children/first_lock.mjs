/*
 * Imports the lock library that its argument names, runs something under a lock once, and ends.
 */
import { openFactory } from '../harness/factories.mjs'

const name = /** @type {'loquet' | '@verrou/core'} */ (process.argv[2])
const factory = await openFactory(name)
await factory.createLock('orders.42').run(async () => {})
