// Worker threads that are ended at random in the midst of calls, while the main thread goes on locking. Arguments: the
// store's options as JSON, and how many threads. Says how it went.
import { LockFactory } from 'loquet'
import { openStore } from './store.mjs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

const [json, count] = process.argv.slice(2)
const options = JSON.parse(json)
const keys = ['one', 'two', 'three', 'four', 'five']
const ttl = 1500
const factory = new LockFactory(openStore(options), { retry: { delay: 200 } })

const unexpected = []
let turns = 0
let isOver = false
const witnesses = keys.map(async (key) => {
  while (!isOver) {
    const [isDone] = await factory.createLock(key, ttl).run(() => sleep(1))
    if (isDone) turns++
  }
})

let started = 0
async function life() {
  while (started < Number(count)) {
    const seed = started++
    const workerData = { options, keys, ttl, seed }
    const worker = new Worker(new URL('./storm_worker.mjs', import.meta.url), { workerData })
    worker.on('error', (error) => unexpected.push(String(error)))
    // From before it has loaded anything to well after it has begun to lock.
    await sleep((seed * 37) % 400)
    await worker.terminate()
  }
}
await Promise.all([life(), life(), life()])
const before = turns
while (turns < before + 20) await sleep(5)
isOver = true
await Promise.all(witnesses)
console.log(JSON.stringify({ started, unexpected, turns }))
