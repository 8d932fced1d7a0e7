import { processInWorker } from './hand_over.js'
import { journal, locks } from './locks.js'
import { processAutomatically, processManually, processPatiently } from './orders.js'

/**
 * @param {string[]} answers
 */
function count(answers) {
  const processed = answers.filter((answer) => answer === 'processed').length
  return `${processed} processed, ${answers.length - processed} told so`
}

/**
 * @template T
 * @param {number} times
 * @param {() => Promise<T>} task
 */
function race(times, task) {
  return Promise.all(Array.from({ length: times }, task))
}

console.log('20 tasks race for order 1, locked manually:')
console.log(`  ${count(await race(20, () => processManually('1')))}`)

console.log('20 tasks race for order 2, locked automatically:')
console.log(`  ${count(await race(20, () => processAutomatically('2')))}`)

console.log('5 tasks wait for their turn on order 3:')
const patient = await race(5, () => processPatiently('3', AbortSignal.timeout(10_000)))
console.log(`  ${count(patient)}`)

console.log('One task works on order 4 for 200 ms, another one waits for 50 ms at most:')
const controller = new AbortController()
const slow = processPatiently('4', controller.signal, async () => {
  await new Promise((resolve) => setTimeout(resolve, 200))
})
const hasty = processPatiently('4', AbortSignal.timeout(50))
console.log(`  ${await hasty.catch((error) => `gave up: ${error.name}`)}`)
console.log(`  ${await slow}`)

console.log('Order 5 is locked here and released in a worker thread:')
const handedOver = processInWorker('5')
const lock = locks.use('threads').createLock('order.processing.5')
console.log(`  locked while the worker has it: ${await lock.isLocked()}`)
await handedOver
console.log(`  locked afterwards: ${await lock.isLocked()}`)

console.log('A custom store writes a journal of order 6:')
await locks
  .use('journal')
  .createLock('order.processing.6')
  .run(async (held) => {
    await held.extend('1m')
  })
for (const line of journal) console.log(`  ${line}`)
