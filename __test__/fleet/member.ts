/**
 * A process of a fleet: acquires locks, works under them, releases them, and records it. Ordered by its first argument.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { Recorder, now } from '../faults/history.js'
import type { RecordableLock, RecordedLock } from '../faults/history.js'
import { Random } from '../faults/random.js'
import { openTable } from './fencing/storage.js'
import { Writer } from './fencing/writer.js'
import type { KnexConfig } from '../database/topologies.js'
import { MeetingPoint } from './meeting_point.js'
import type { FromMember, MemberOrder, Opener, ToMember } from './orders.js'

/** What is used of a lock factory, loquet's or Verrou's. */
export interface Factory {
  createLock(
    name: string,
    ttl: number | null
  ): RecordableLock & { serialize(): SerializedLock; forceRelease(): Promise<void> }
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
const meetingPoint = new MeetingPoint(order.meetingPoint, order.name)

let total = 0
let skipped = 0
let isStopping = false

async function openFactory({ peer, way, delay, work }: MemberOrder) {
  const { openStore } = (await import(`../${way.opener}`)) as Opener
  const { store, close } = await openStore(peer, way.settings as never)
  const options = { retry: { delay } }
  if (peer === 'verrou') {
    const { LockFactory } = await import('@verrou/core')
    return { factory: new LockFactory(store as never, options) as Factory, close }
  }
  const { LockFactory } = await import('loquet')
  const fencing = work.kind === 'write'
  return { factory: new LockFactory(store, { ...options, fencing }) as Factory, close }
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
  const value = meetingPoint.count(key) + 1
  await sleep(random.integer(0, 2))
  const remaining = lock.getRemainingTime()
  if (remaining !== null && remaining < order.ttl! * MARGIN) {
    skipped++
    return
  }
  meetingPoint.setCount(key, value)
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
    if (work.kind === 'hold') await sleep(random.integer(...work.millis))
    else await count(recorded)
    if (work.kind !== 'count-and-hand') await giveBack(recorded)
    else {
      const handed: HandedLock = { key, lock: lock.serialize() }
      meetingPoint.hand(work.to, JSON.stringify(handed))
    }
  }
}

async function releaseForOthers(factory: Factory): Promise<void> {
  while (!isStopping) {
    for (const line of meetingPoint.take()) {
      const { key, lock } = JSON.parse(line) as HandedLock
      const restored = factory.restoreLock({ ...lock, key: nameOf(key) })
      await giveBack(recorder.watch(restored, key, lock.ttl))
      total++
    }
    await sleep(5)
  }
}

/** Writes under fenced locks until it is told to stop. */
async function openWriter(factory: Factory, table: KnexConfig | undefined): Promise<Writer> {
  const storage = table === undefined ? { write: askStorage, close() {} } : await openTable(table)
  return new Writer({
    ...{ order, recorder, random, storage, giveBack },
    createLock: (key, ttl) => factory.createLock(nameOf(key), ttl),
    granted: () => total++,
    isStopping: () => isStopping,
  })
}

const asked = new Map<number, (isAccepted: boolean) => void>()
let calls = 0

/** Writes to the storage of the fleet. */
function askStorage(key: string, token: string): Promise<boolean> {
  const call = ++calls
  say({ kind: 'write', call, key, token })
  return new Promise((resolve) => asked.set(call, resolve))
}

function say(message: FromMember): void {
  if (parentPort !== null) parentPort.postMessage(message)
  else if (process.connected) process.send!(message)
}

const port = parentPort ?? process
port.on('message', (message: ToMember) => {
  if (message === 'stop') isStopping = true
  else if (message !== 'go') {
    asked.get(message.call)!(message.isAccepted)
    asked.delete(message.call)
  }
})
const { factory, close } = await openFactory(order)
const { work } = order
const writer = work.kind === 'write' ? await openWriter(factory, work.table) : undefined
// Anything that is said means that it begins.
const beginning = new Promise((resolve) => port.once('message', resolve))
say({ kind: 'ready' })
await beginning

let told = 0
const telling = setInterval(() => {
  if (total > told) say({ kind: 'granted', total: (told = total) })
}, 50)
await Promise.all(
  Array.from({ length: order.tasks }, () => {
    if (writer !== undefined) return writer.takeTurns()
    return work.kind === 'release'
      ? releaseForOthers(factory)
      : takeTurns(factory, order.rounds ?? Number.POSITIVE_INFINITY)
  })
)
clearInterval(telling)
say({ kind: 'done', total, skipped })
// From here on nothing may keep the process alive.
await writer?.close()
await close?.()
if (parentPort !== null) parentPort.close()
else process.disconnect()
