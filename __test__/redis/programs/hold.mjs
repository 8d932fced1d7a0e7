// Acquires a lock, or does something with one that was acquired elsewhere. Arguments: the store's options as JSON, what to
// do, and what with: a key or a serialized lock.
import { LockFactory } from 'loquet'
import { openStore } from './store.mjs'

const [json, action, subject] = process.argv.slice(2)
const factory = new LockFactory(openStore(JSON.parse(json)))
if (action === 'acquire') {
  const lock = factory.createLock(subject, 60_000)
  await lock.acquire()
  console.log(JSON.stringify(lock))
} else {
  const lock = factory.restoreLock(JSON.parse(subject))
  const remaining = lock.getRemainingTime()
  const outcome = await lock[action]().then(
    () => 'done',
    (error) => error.code
  )
  console.log(JSON.stringify({ remaining, outcome, lock }))
}
