/**
 * One name in the main thread, the other one in a worker thread: a shared lock space is the same.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Worker, isMainThread, parentPort } from 'node:worker_threads'

const { LockFactory } = await import(isMainThread ? '@adonisjs/lock' : '@verrou/core')
const { MemoryStore } = await import(
  `${isMainThread ? '@adonisjs/lock' : '@verrou/core'}/drivers/memory`
)
const lock = new LockFactory(new MemoryStore({ shared: 'threads' })).createLock('key', null)

if (isMainThread) {
  await lock.acquire()
  const worker = new Worker(new URL(import.meta.url))
  assert.deepEqual(await once(worker, 'message'), ['refused'])
  const granted = once(worker, 'message')
  await lock.release()
  assert.deepEqual(await granted, ['granted'])
  console.log('everything holds')
} else {
  assert.equal(await lock.acquireImmediately(), false)
  const granted = lock.acquire({ retry: { delay: 600_000 } })
  parentPort.postMessage('refused')
  await granted
  parentPort.postMessage('granted')
}
