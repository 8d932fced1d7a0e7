/**
 * A process of a fleet: acquires locks, works under them, releases them, and records it. Ordered by its first argument.
 */
import { Redis, Cluster } from 'ioredis'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Recorder, now } from '../../faults/history.js'
import type { RecordableLock, RecordedLock } from '../../faults/history.js'
import { Random } from '../../faults/random.js'
import type { RedisConnection } from 'loquet/types'
import { COUNTER } from './keys.js'
import type { FromMember, MemberOrder, ToMember, Way } from './orders.js'

/** What is used of a lock factory, loquet's or Verrou's. */
interface Factory {
  createLock(name: string, ttl: number | null): RecordableLock & { serialize(): SerializedLock }
  restoreLock(lock: SerializedLock): RecordableLock
}

interface SerializedLock {
  key: string
  owner: string
  ttl: number | null
  expirationTime: number | null
}

/** A lock on its way to the member that releases it. */
interface HandedLock {
  key: string
  lock: SerializedLock
}

/**
 * The part of a TTL that must be left when something is written under the lock: a lease alone can't keep a write from
 * arriving after its end.
 */
const MARGIN = 0.4

const order = JSON.parse(process.argv[2]) as MemberOrder
const recorder = new Recorder(order.history, order.name)
const random = new Random(order.seed)
/** What has to be closed at the end. */
const clients: (Redis | Cluster)[] = []
// A write that is sent again by itself might come after the lock is gone.
const meetingPoint = new Redis({
  ...order.meetingPoint,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => 20,
})
keep(meetingPoint)

let total = 0
let skipped = 0
let isStopping = false

function keep<Client extends Redis | Cluster>(client: Client): Client {
  // It is seen in the commands that fail.
  client.on('error', () => {})
  clients.push(client)
  return client
}

function connect(way: Exclude<Way, { kind: 'options' }>): Redis | Cluster {
  if (way.kind === 'cluster') return keep(new Cluster(way.nodes))
  // Verrou waits for as long as its client does.
  return keep(new Redis({ maxRetriesPerRequest: null, ...way.options }))
}

async function openFactory({ peer, way }: MemberOrder): Promise<Factory> {
  const retry = { delay: order.delay }
  if (peer === 'verrou') {
    if (way.kind !== 'instance') throw new Error('Verrou takes an ioredis instance')
    const { LockFactory } = await import('@verrou/core')
    const { redisStore } = await import('@verrou/core/drivers/redis')
    const connection = connect(way) as Redis
    return new LockFactory(redisStore({ connection }).factory(), { retry }) as Factory
  }
  const { LockFactory } = await import('loquet')
  const { redisStore } = await import('loquet/drivers/redis')
  const options =
    way.kind === 'options' ? way.options : { connection: connect(way) as RedisConnection }
  return new LockFactory(redisStore(options).factory(), { retry })
}

/** What a lock is called here: the prefix is added by the store. */
function nameOf(key: string): string {
  const { keyPrefix = '' } = order
  if (!key.startsWith(keyPrefix)) throw new Error(`${key} doesn't begin with ${keyPrefix}`)
  return key.slice(keyPrefix.length)
}

/** Releases, and tries again where the store failed, as long as it makes sense. */
async function giveBack(lock: RecordedLock): Promise<void> {
  for (let pause = 20; pause < 1_000; pause *= 2) {
    try {
      return await lock.release()
    } catch (error) {
      if ((error as { code?: string }).code === 'E_LOCK_NOT_OWNED') return
      await sleep(pause)
    }
  }
}

/** Reads, pauses, writes. */
async function count({ key, owner, lock }: RecordedLock): Promise<void> {
  const value = Number((await meetingPoint.get(`${COUNTER}${key}`)) ?? 0) + 1
  await sleep(random.integer(0, 2))
  const remaining = lock.getRemainingTime()
  if (remaining !== null && remaining < order.ttl! * MARGIN) {
    skipped++
    return
  }
  await meetingPoint.set(`${COUNTER}${key}`, value)
  recorder.write({ kind: 'wrote', at: now(), process: order.name, key, owner, value })
}

async function takeTurns(factory: Factory, rounds: number): Promise<void> {
  const { keys, ttl, work } = order
  for (let round = 0; round < rounds && !isStopping; round++) {
    const key = random.pick(keys)
    const lock = factory.createLock(nameOf(key), ttl)
    const recorded = recorder.watch(lock, key, ttl)
    try {
      if (!(await recorded.acquire())) throw new Error('refused without a reason')
    } catch {
      // The history has it. Don't hammer a store that is down.
      await sleep(10)
      continue
    }
    total++
    try {
      if (work.kind === 'hold') await sleep(random.integer(...work.millis))
      else await count(recorded)
    } catch {
      // The server was down: whether something was written is open.
    }
    if (work.kind !== 'count-and-hand') await giveBack(recorded)
    else {
      const handed: HandedLock = { key, lock: lock.serialize() }
      await meetingPoint.rpush(`handed:${work.to}`, JSON.stringify(handed))
    }
  }
}

async function releaseForOthers(factory: Factory): Promise<void> {
  const inbox = keep(new Redis(order.meetingPoint))
  while (!isStopping) {
    const [, text] = (await inbox.blpop(`handed:${order.name}`, 0.2)) ?? []
    if (text === undefined) continue
    const { key, lock } = JSON.parse(text) as HandedLock
    const restored = factory.restoreLock({ ...lock, key: nameOf(key) })
    await giveBack(recorder.watch(restored, key, lock.ttl))
    total++
  }
}

function say(message: FromMember): void {
  if (process.connected) process.send!(message)
}

process.on('message', (message: ToMember) => {
  if (message === 'stop') isStopping = true
})
const [factory] = await Promise.all([openFactory(order), once(meetingPoint, 'ready')])
say({ kind: 'ready' })
// Anything that is said means that it begins.
await once(process, 'message')

let told = 0
const telling = setInterval(() => {
  if (total > told) say({ kind: 'granted', total: (told = total) })
}, 50)
await Promise.all(
  Array.from({ length: order.tasks }, () =>
    order.work.kind === 'release'
      ? releaseForOthers(factory)
      : takeTurns(factory, order.rounds ?? Number.POSITIVE_INFINITY)
  )
)
clearInterval(telling)
say({ kind: 'done', total, skipped })
// From here on nothing may keep the process alive.
for (const client of clients) client.disconnect()
process.disconnect()
