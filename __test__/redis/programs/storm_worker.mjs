// Acquires, holds, waits for and releases locks until it is ended. Leases are short, since nobody frees them then.
import { LockFactory } from 'loquet'
import { openStore } from './store.mjs'
import { setTimeout as sleep } from 'node:timers/promises'
import { workerData } from 'node:worker_threads'

const { options, keys, ttl, seed } = workerData
// Half of them share the connection of the main thread.
const own = seed % 2 === 0 ? {} : { connectionName: `worker ${seed}` }
const factory = new LockFactory(openStore({ ...options, ...own }), { retry: { delay: 200 } })

async function task(number) {
  for (let round = 0; ; round++) {
    const key = keys[(number + round * 7 + seed) % keys.length]
    await factory.createLock(key, ttl).run(() => sleep((number + round) % 4))
  }
}
for (let number = 0; number < 20; number++) void task(number)
