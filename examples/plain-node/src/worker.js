import { setTimeout } from 'node:timers/promises'
import { workerData } from 'node:worker_threads'
import { locks } from './locks.js'

const lock = locks.use('threads').restoreLock(JSON.parse(workerData.lock))

try {
  await setTimeout(50)
} finally {
  await lock.release()
}
