import { counter } from './counter.js'
import { database, locks } from './locks.js'
import { countTogether, releaseElsewhere } from './processes.js'

try {
  await counter.reset()
} catch (error) {
  console.error(`No database: ${error.message || error.code}`)
  console.error('Say where one is: DATABASE_URL=postgres://user:password@host/database')
  process.exit(1)
}

console.log('4 processes count up 25 times each, under a lock:')
console.log(`  ${await countTogether(4, 25)}`)

console.log('Order 1 is locked here and released by another process:')
const released = releaseElsewhere('1')
const lock = locks.createLock('order.processing.1')
console.log(`  ours again when it is released: ${await lock.acquire()}`)
await lock.release()
await released

console.log('A store by its URL and one by a knex instance mean the same locks:')
await locks
  .use('url')
  .createLock('order.processing.2')
  .run(async () => {
    const free = await locks.use('knex').createLock('order.processing.2').acquireImmediately()
    console.log(`  free for the other one: ${free}`)
  })

await locks.close()
await database.destroy()
