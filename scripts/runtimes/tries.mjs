/**
 * What is tried in each runtime, one by one: `<runtime> tries.mjs <name>`. Succeeds if the process ends by itself with 0.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR, LockFactory, Verrou } from 'loquet'
import { databaseStore } from 'loquet/drivers/database'
import { memoryStore } from 'loquet/drivers/memory'
import { redisStore } from 'loquet/drivers/redis'

/** Waiters are woken, they don't ask again. */
const retry = { delay: 600_000 }

/** The address of a server; without one there is nothing to try. */
function server(variable) {
  const url = process.env[variable]
  if (url) return url
  console.log('left out: there is no server')
  process.exit(0)
}

/** What locks are for, on any store. */
async function useLocks(store) {
  const key = `runtimes-${process.pid}`
  const factory = new LockFactory(store)
  const lock = factory.createLock(key, '30s')
  assert.equal(await lock.acquire(), true)
  assert.equal(await factory.createLock(key).acquireImmediately(), false)
  const { signal } = new AbortController()
  const order = []
  const runs = [1, 2, 3].map((number) =>
    factory.createLock(key).run(() => order.push(number), { retry, signal })
  )
  await lock.extend('1m')
  await lock.release()
  for (const [executed] of await Promise.all(runs)) assert(executed)
  assert.deepEqual(order, [1, 2, 3])
  await assert.rejects(lock.release(), (error) => error instanceof E_LOCK_NOT_OWNED)

  // An expiry wakes too, an abort ends the wait.
  assert.equal(await factory.createLock(key, 300).acquire(), true)
  const aborted = factory.createLock(key).acquire({ retry, signal: AbortSignal.timeout(50) })
  await assert.rejects(aborted, { name: 'TimeoutError' })
  const next = factory.createLock(key)
  assert.equal(await next.acquire({ retry }), true)
  await factory.restoreLock(next.serialize()).release()
}

const TRIES = {
  'memory': () => useLocks(memoryStore().factory()),
  'custom store': () => {
    const store = memoryStore().factory()
    const methods = ['save', 'delete', 'forceDelete', 'exists', 'extend']
    const bound = methods.map((method) => [method, (...given) => store[method](...given)])
    return useLocks(Object.fromEntries(bound))
  },
  'redis': () => useLocks(redisStore({ url: server('LOQUET_TEST_REDIS') }).factory()),
  'sqlite': () => {
    const filename = join(tmpdir(), `loquet-${process.pid}.sqlite`)
    return useLocks(databaseStore({ client: 'better-sqlite3', connection: { filename } }).factory())
  },
  'postgres': () => useLocks(databaseStore({ url: server('DATABASE_URL') }).factory()),
  'errors': async () => {
    const factory = new LockFactory(redisStore({ url: 'redis://127.0.0.1:9' }).factory())
    const failed = factory.createLock('key').acquireImmediately()
    await assert.rejects(failed, (error) => error instanceof E_LOCK_STORAGE_ERROR && !!error.cause)
  },
  'close': async () => {
    const stores = { redis: { driver: redisStore({ url: server('LOQUET_TEST_REDIS') }) } }
    const verrou = new Verrou({ default: 'redis', stores })
    const key = `close-${process.pid}`
    await verrou.createLock(key, 1000).acquire()
    const waiting = verrou.createLock(key).acquire({ retry })
    const closed = assert.rejects(waiting, { code: 'E_LOCK_CLOSED' })
    await verrou.close()
    await closed
  },
  'threads': async () => {
    const lock = new LockFactory(memoryStore({ shared: 'name' }).factory()).createLock('key', null)
    await lock.acquire()
    const worker = new Worker(new URL(import.meta.url), { workerData: 'waits' })
    assert.deepEqual(await heard(worker), 'refused')
    const granted = heard(worker)
    await lock.release()
    assert.deepEqual(await granted, 'granted')
    // It has it without a TTL: its end frees it.
    await worker.terminate()
    assert.equal(await lock.acquire({ retry: { timeout: 5000, delay: 50 } }), true)
  },
  'a waiting acquire keeps the process alive': async () => {
    const factory = new LockFactory(memoryStore().factory())
    await factory.createLock('key', 300).acquire()
    process.exitCode = 1
    await factory.createLock('key').acquire({ retry })
    process.exitCode = 0
  },
  'exit while waiting': async () => {
    const factory = new LockFactory(redisStore({ url: server('LOQUET_TEST_REDIS') }).factory())
    const key = `exit-${process.pid}`
    await factory.createLock(key, 1000).acquire()
    void factory.createLock(key).acquire({ retry })
    setTimeout(() => process.exit(0), 50)
  },
}

const heard = async (worker) => {
  const [message] = await once(worker, 'message')
  return message
}

if (isMainThread) {
  const [name] = process.argv.slice(2)
  if (name === undefined) console.log(JSON.stringify(Object.keys(TRIES)))
  else {
    await TRIES[name]()
    console.log('works')
  }
} else if (workerData === 'waits') {
  const lock = new LockFactory(memoryStore({ shared: 'name' }).factory()).createLock('key', null)
  assert.equal(await lock.acquireImmediately(), false)
  const granted = lock.acquire({ retry })
  parentPort.postMessage('refused')
  await granted
  parentPort.postMessage('granted')
  setInterval(() => {}, 1000)
}
