/**
 * An app that has the package under the names of both peers. Fails unless what the one makes works with the other.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import * as adonis from '@adonisjs/lock'
import { DatabaseStore } from '@adonisjs/lock/drivers/database'
import { MemoryStore } from '@adonisjs/lock/drivers/memory'
import { redisStore } from '@adonisjs/lock/drivers/redis'
import * as verrou from '@verrou/core'
import * as database from '@verrou/core/drivers/database'
import * as memory from '@verrou/core/drivers/memory'
import * as redis from '@verrou/core/drivers/redis'

/** A waiter is woken by a release or not at all. */
const retry = { delay: 600_000 }

// Two copies of the modules, one addon.
assert.notEqual(adonis.Lock, verrou.Lock)
const addons = process.report.getReport().sharedObjects.filter((path) => path.endsWith('.node'))
assert.equal(addons.length, 1, addons.join())

// instanceof
const store = new MemoryStore()
for (const [here, there] of [
  [adonis, verrou],
  [verrou, adonis],
]) {
  const factory = new there.LockFactory(store)
  const lock = factory.createLock('instances')
  await assert.rejects(lock.release(), (error) => {
    assert(error instanceof here.E_LOCK_NOT_OWNED)
    assert(error instanceof here.errors.E_LOCK_NOT_OWNED)
    assert(error instanceof Error)
    assert(!(error instanceof here.E_LOCK_STORAGE_ERROR))
    assert(!(error instanceof here.errors.E_LOCK_CLOSED))
    return true
  })
  assert(new there.E_LOCK_STORAGE_ERROR(['reason']) instanceof here.E_LOCK_STORAGE_ERROR)
  assert(lock instanceof here.Lock)
  assert(factory instanceof here.LockFactory)
  assert(!(lock instanceof here.LockFactory))

  const closed = new there.Verrou({ default: 'a', stores: { a: { driver: memory.memoryStore() } } })
  assert(closed instanceof here.Verrou)
  await closed.close()
  await assert.rejects(
    closed.createLock('key').acquire(),
    (error) => error instanceof here.errors.E_LOCK_CLOSED
  )

  class Mine extends here.E_LOCK_NOT_OWNED {}
  assert(new Mine() instanceof there.E_LOCK_NOT_OWNED)
  assert(new Mine() instanceof Mine)
  assert(!(new here.E_LOCK_NOT_OWNED() instanceof Mine))
  assert(!(new there.E_LOCK_NOT_OWNED() instanceof Mine))
}
class MyStore extends MemoryStore {}
assert(store instanceof memory.MemoryStore)
assert(new MyStore() instanceof memory.MemoryStore)
assert(!(store instanceof MyStore))
assert(!(new memory.MemoryStore() instanceof MyStore))
const adapter = { setTableName() {}, createTableIfNotExists() {} }
assert(new DatabaseStore(adapter) instanceof database.DatabaseStore)
for (const [entry, name] of [
  ['knex', 'KnexAdapter'],
  ['kysely', 'KyselyAdapter'],
  ['dynamodb', 'DynamoDBStore'],
]) {
  const one = await import(`@adonisjs/lock/drivers/${entry}`)
  const two = await import(`@verrou/core/drivers/${entry}`)
  assert.notEqual(one[name], two[name])
  assert(Object.create(one[name].prototype) instanceof two[name])
}
assert(!(store instanceof database.DatabaseStore))
assert(!(null instanceof memory.MemoryStore) && !('text' instanceof memory.MemoryStore))

// One engine and one queue for a store, whichever copy made it.
const here = new adonis.LockFactory(store)
const there = new verrou.LockFactory(store)
const order = []
const holder = here.createLock('queue')
await holder.acquire()
const waits = [there, here, there].map(async (factory, index) => {
  const lock = factory.createLock('queue', 60_000)
  assert.equal(await lock.acquire({ retry }), true)
  assert(lock.getRemainingTime() > 50_000 && lock.getRemainingTime() <= 60_000)
  order.push(index)
  await lock.release()
})
assert.deepEqual(store.census(), { leases: 1, waiters: 3 })
await holder.release()
await Promise.all(waits)
assert.deepEqual(order, [0, 1, 2])

const restored = here.restoreLock(await acquired(there.createLock('restored')))
await restored.extend('1m')
assert(restored.getRemainingTime() > 50_000)
await restored.release()

async function acquired(lock) {
  assert.equal(await lock.acquireImmediately(), true)
  return lock.serialize()
}

// What the caller wants of a wait counts, whichever copy makes it wait.
const held = here.createLock('held')
await held.acquire()
const signal = AbortSignal.timeout(20)
await assert.rejects(there.createLock('held').acquire({ retry, signal }), { name: 'TimeoutError' })
const manager = new verrou.Verrou({
  default: 'a',
  stores: { a: { driver: { factory: () => store } } },
})
const closing = assert.rejects(manager.createLock('held').acquire({ retry }), {
  code: 'E_LOCK_CLOSED',
})
const remaining = here.createLock('held').acquire({ retry })
await manager.close()
await closing
await held.release()
assert.equal(await remaining, true)

const lost = there.createLock('lost')
await assert.rejects(
  lost.run(async () => (await here.createLock('lost').forceRelease(), 'result')),
  (error) => error instanceof adonis.E_LOCK_NOT_OWNED && error.result === 'result'
)

// A store that is written in JavaScript: only the first in line asks it.
const owners = new Map()
let saves = 0
const custom = {
  save: (key, owner) => (saves++, owners.has(key) ? false : (owners.set(key, owner), true)),
  delete: (key) => void owners.delete(key),
  forceDelete: (key) => void owners.delete(key),
  exists: (key) => owners.has(key),
  extend() {},
}
const mine = new adonis.LockFactory(custom).createLock('custom')
await mine.acquire()
const others = [adonis, verrou, adonis].map((copy) =>
  new copy.LockFactory(custom).createLock('custom').run(() => {}, { retry })
)
await mine.release()
for (const [executed] of await Promise.all(others)) assert(executed)
// The holder, the first in line in vain, and each of the three once.
assert(saves <= 5, `${saves} calls of save`)

// Shared names.
const one = new adonis.LockFactory(new MemoryStore({ shared: 'name' })).createLock('key')
const two = new verrou.LockFactory(new memory.MemoryStore({ shared: 'name' })).createLock('key')
await one.acquire()
assert.equal(await two.acquireImmediately(), false)
const waiting = two.acquire({ retry })
await one.release()
assert.equal(await waiting, true)

// One connection for equal settings.
const url = process.env.REDIS_URL
if (url) {
  const mineHere = redisStore({ url }).factory()
  const mineThere = redis.redisStore({ url }).factory()
  assert(mineHere instanceof redis.RedisStore)
  const first = new verrou.LockFactory(mineHere).createLock('redis')
  const second = new adonis.LockFactory(mineThere).createLock('redis')
  await first.acquire()
  const connections = await countConnections(url)
  assert.equal(await second.acquireImmediately(), false)
  assert.equal(await countConnections(url), connections)
  const granted = second.acquire({ retry })
  await first.release()
  assert.equal(await granted, true)
  await second.release()
}

/** How many clients a server has, this question among them. */
async function countConnections(address) {
  const { hostname, port } = new URL(address)
  const socket = connect(Number(port), hostname)
  socket.end('CLIENT LIST\r\n')
  return (await text(socket)).split('\n').filter((line) => line.startsWith('id=')).length
}

console.log('everything holds')
