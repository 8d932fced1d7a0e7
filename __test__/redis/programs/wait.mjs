// Waits for a lock, with nothing else to do. Arguments: the store's options as JSON, the key, and for how long at most.
import { LockFactory } from 'loquet'
import { openStore } from './store.mjs'
import { isMainThread, workerData } from 'node:worker_threads'

const [json, key, timeout] = isMainThread ? process.argv.slice(2) : workerData
const factory = new LockFactory(openStore(JSON.parse(json)))
const startedAt = performance.now()
// Not awaited: a top-level await that nothing fulfils ends the program with an exit code of its own.
factory
  .createLock(key, 60_000)
  .acquire({ retry: { delay: 30_000, timeout: Number(timeout) } })
  .then((granted) => {
    console.log(JSON.stringify({ granted, waited: performance.now() - startedAt }))
  })
