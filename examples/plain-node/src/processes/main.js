import { together } from './together.js'

/**
 * A number that anybody may read and write. What was read may have changed before it is written, unless a lock is held
 * meanwhile.
 *
 * @typedef {object} Counter
 * @property {() => Promise<void>} reset - Makes the counter, or sets it back to 0
 * @property {() => Promise<number>} read
 * @property {(count: number) => Promise<void>} write
 */

const { locks, open, missing, close, countTogether, releaseElsewhere } = await together(
  process.argv[2] ?? 'redis'
)

try {
  await open()
} catch (error) {
  console.error(`${error.message || error.code}\n${missing}`)
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

console.log('A store by its URL and one by the client of the application mean the same locks:')
await locks
  .use('url')
  .createLock('order.processing.2')
  .run(async () => {
    const free = await locks.use('client').createLock('order.processing.2').acquireImmediately()
    console.log(`  free for the other one: ${free}`)
  })

await close()
