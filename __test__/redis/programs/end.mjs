// Ends in the midst of calls. Arguments: the store's options as JSON, the place, and how: 'exit', 'throw', 'reject'. In a
// worker thread the same happens there.
import { LockFactory } from 'loquet'
import { openStore } from './store.mjs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker, isMainThread, workerData } from 'node:worker_threads'

const [json, place, way] = isMainThread ? process.argv.slice(2) : workerData
const options = JSON.parse(json)
const open = (connectionName) => new LockFactory(openStore({ ...options, connectionName }))
const factories = [open('one'), open('two')]
const [factory, other] = factories
// Keys that no other run uses.
const held = `${process.pid} ${place}`

const ends = {
  exit: () => process.exit(0),
  throw: () => {
    throw new Error('on purpose')
  },
  reject: () => Promise.reject(new Error('on purpose')),
}
const end = ends[way]

/** Some wait for ever, some with a timeout, some with a signal, some to run a callback; and other calls. */
function occupy() {
  for (const one of factories) {
    for (let index = 0; index < 20; index++) {
      one.createLock(held, 5000).acquire()
      one.createLock(held, 5000).acquire({ retry: { timeout: 1 + index, delay: 1 } })
      one.createLock(held, 5000).acquire({ signal: new AbortController().signal })
      one.createLock(held, 5000).run(() => sleep(1))
      one.createLock(`${held} ${index}`, 5000).acquire()
      one.createLock(held).isLocked()
      one
        .createLock(held)
        .release()
        .catch(() => {})
      one
        .createLock(held)
        .extend(100)
        .catch(() => {})
    }
  }
}

const places = {
  'at once': () => {
    occupy()
    end()
  },
  'while they wait': async () => {
    await factory.createLock(held, 5000).acquire()
    occupy()
    await sleep(100)
    end()
  },
  'when one is granted': async () => {
    const lock = factory.createLock(held, 5000)
    await lock.acquire()
    const waiting = other.createLock(held, 5000).acquire()
    await sleep(30)
    lock.release()
    await waiting
    occupy()
    end()
  },
  'within a callback': async () => {
    await factory.createLock(held, 5000).run(() => {
      occupy()
      return end()
    })
  },
  'when a wait times out': async () => {
    await factory.createLock(held, 5000).acquire()
    occupy()
    other
      .createLock(held)
      .acquire({ retry: { timeout: 50 } })
      .then(end)
  },
  'while it closes': async () => {
    await factory.createLock(held, 5000).acquire()
    occupy()
    for (const one of factories) one.close()
    end()
  },
  'while other threads wait': async () => {
    await factory.createLock(held, 5000).acquire()
    const threads = [1, 2].map(() => {
      const source = `
        const { workerData, parentPort } = require('node:worker_threads')
        Promise.all([import('loquet'), import(workerData.stores)]).then(
          async ([{ LockFactory }, { openStore }]) => {
            const factory = new LockFactory(openStore(workerData.options))
            await factory.createLock(workerData.held + ' threads').run(() => {})
            for (let index = 0; index < 20; index++) factory.createLock(workerData.held).acquire()
            parentPort.postMessage('waiting')
          }
        )`
      const stores = new URL('store.mjs', import.meta.url).href
      const thread = new Worker(source, { eval: true, workerData: { options, held, stores } })
      return new Promise((resolve) => thread.on('message', resolve))
    })
    await Promise.all(threads)
    occupy()
    end()
  },
  'in the exit handler': async () => {
    process.on('exit', () => {
      factory.createLock('last', 5000).acquireImmediately()
      occupy()
    })
    await factory.createLock(held, 5000).acquire()
    occupy()
    await sleep(5)
    end()
  },
}
await places[place]()
