/*
 * Holds locks that are extended by themselves and prints, as JSON, what that costs: which share of its
 * time the main thread is busy, in per cent, and how many commands a second are sent to the server.
 *
 * Arguments: the package that locks, how many locks, their TTL in milliseconds, the seconds to measure.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openKeeper } from '../harness/redis_keepers.mjs'
import { countCommands, serverPort } from '../harness/redis_server.mjs'

const [name, ...numbers] = process.argv.slice(2)
const [count, ttl, seconds] = numbers.map(Number)

/** Milliseconds of CPU that the main thread has had. */
function mainThread() {
  const path = `/proc/self/task/${process.pid}/schedstat`
  return Number(readFileSync(path, 'utf8').split(' ')[0]) / 1e6
}

const keeper = await openKeeper(name, ttl)
// Over a third of the TTL, as locks of an application begin at different times
const began = performance.now()
for (let index = 0; index < count; index++) {
  await keeper.hold(`kept.${index}`)
  const ahead = (index * ttl) / 3 / count - (performance.now() - began)
  if (ahead > 5) await sleep(ahead)
}
await sleep(ttl * 2)

const [start, before] = [performance.now(), mainThread()]
await sleep(seconds * 1000)
const share = ((mainThread() - before) * 100) / (performance.now() - start)
// Apart, since counting is work too
const { total, names } = await countCommands(serverPort(), () => sleep(seconds * 1000))
const lost = keeper.lost()
if (lost > 0) throw new Error(`${name} has lost ${lost} of ${count} locks`)
process.stdout.write(
  JSON.stringify({ mainThread: share, commands: total / seconds, detail: { names } }),
  () => process.exit()
)
