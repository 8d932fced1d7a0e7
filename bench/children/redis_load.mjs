/*
 * Acquires and releases for some seconds and prints, as JSON, what each thread of this process and of
 * the server did meanwhile.
 *
 * Arguments: the package that locks, the number of tasks at a time, the seconds.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { openLocker } from '../harness/redis_contenders.mjs'
import { host, serverPort } from '../harness/redis_server.mjs'

/**
 * @typedef {object} Thread
 * @property {string} name
 * @property {number} cpu - Microseconds
 * @property {number} waits - How often it has gone to sleep by itself: each is a wake-up
 */

const [name, tasks, seconds] = process.argv.slice(2)
const locker = await openLocker(name)
const control = new Redis({ host, port: serverPort() })
const server = Number(/process_id:(\d+)/.exec(await control.info('server'))?.[1])
control.disconnect()

let pairs = 0

/** @param {number} duration - Milliseconds */
async function load(duration) {
  const end = performance.now() + duration
  await Promise.all(
    Array.from({ length: Number(tasks) }, async (_, index) => {
      while (performance.now() < end) {
        await locker.pair(`orders.${index}`)
        pairs++
      }
    })
  )
}

/**
 * @param {number} pid
 * @returns {Map<string, Thread>} By thread id
 */
function threadsOf(pid) {
  return new Map(
    readdirSync(`/proc/${pid}/task`).map((id) => {
      /** @param {string} file */
      const read = (file) => readFileSync(`/proc/${pid}/task/${id}/${file}`, 'utf8')
      return [
        id,
        {
          name: Number(id) === pid ? 'main' : read('comm').trim(),
          cpu: Number(read('schedstat').split(' ')[0]) / 1_000,
          waits: Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(read('status'))?.[1]),
        },
      ]
    })
  )
}

/**
 * @param {Map<string, Thread>} before
 * @param {Map<string, Thread>} after
 * @returns {Thread[]} For a pair
 */
function each(before, after) {
  return [...after].map(([id, { name: thread, cpu, waits }]) => ({
    name: thread,
    cpu: (cpu - (before.get(id)?.cpu ?? 0)) / pairs,
    waits: (waits - (before.get(id)?.waits ?? 0)) / pairs,
  }))
}

await load(1_000)
// The moment from which a tracer should look
process.send?.({ pid: process.pid, server })
pairs = 0
const ownBefore = threadsOf(process.pid)
const serverBefore = threadsOf(server)
const start = performance.now()
await load(Number(seconds) * 1_000)
const time = performance.now() - start
const own = each(ownBefore, threadsOf(process.pid))
const served = each(serverBefore, threadsOf(server))
console.log(JSON.stringify({ pairs, time: (time * 1_000) / pairs, own, server: served }))
// An exit in one's own time: the profile of the main thread is written at the end
process.exit()
