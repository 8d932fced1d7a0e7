// Uses a store in some way and then has nothing to do. Arguments: the store's options as JSON, and the way.
import { LockFactory, Verrou } from 'loquet'
import { openStore } from './store.mjs'
import { isMainThread, workerData } from 'node:worker_threads'

const [json, way] = isMainThread ? process.argv.slice(2) : workerData
const options = JSON.parse(json)
const store = openStore(options)
const factory = new LockFactory(store, { retry: { delay: 30_000 } })
const other = new LockFactory(openStore({ ...options, connectionName: 'another' }))
const prefix = `${process.pid} ${way} ${isMainThread}`

const ways = {
  'never used': () => {},

  'connected': () => factory.createLock(`${prefix} released`).run(() => {}),

  'holding': async () => {
    await factory.createLock(`${prefix} for ever`, null).acquire()
    await factory.createLock(`${prefix} for long`, 600_000).acquire()
  },

  'after waits': async () => {
    const lock = factory.createLock(prefix)
    await lock.acquire()
    const waiting = [other, factory].map((one) => one.createLock(prefix).run(() => {}))
    await other.createLock(prefix).acquire({ retry: { timeout: 10 } })
    await factory.createLock(prefix).acquire({ retry: { attempts: 3, delay: 5 } })
    const signal = AbortSignal.timeout(10)
    await other
      .createLock(prefix)
      .acquire({ signal })
      .catch(() => {})
    await lock.release()
    await Promise.all(waiting)
  },

  'closed': async () => {
    const driver = { factory: () => store }
    const verrou = new Verrou({ default: 'one', stores: { one: { driver } } })
    const lock = verrou.createLock(prefix)
    await lock.acquire()
    await verrou.close()
    await lock.release()
  },

  'after failures': async () => {
    // Nobody listens there.
    const lost = new LockFactory(openStore({ ...options, port: 1, commandTimeout: 200 }))
    await lost
      .createLock(prefix)
      .acquire()
      .catch(() => {})
    await lost.createLock(prefix).acquire({ retry: { timeout: 50 } })
  },

  'without its server': async () => {
    // Connected, and then the server is gone; whoever started this program has seen to it.
    await factory.createLock(prefix).run(() => {})
    process.kill(Number(options.connectionName), 'SIGKILL')
    await factory
      .createLock(prefix)
      .acquire()
      .catch(() => {})
  },
}
await ways[way]()
console.log('done')
