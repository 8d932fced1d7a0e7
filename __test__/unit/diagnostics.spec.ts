import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { test } from '@japa/runner'
import { LockFactory, Verrou } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { lastOf, namesOf, record } from './channels.js'
import { errorOf, until } from './observe.js'
import { forEachStore, SyncStore } from './stores_under_test.js'

const CALL = ['start', 'end', 'asyncStart', 'asyncEnd']
const of = (operation: string, moments = CALL) => moments.map((moment) => `${operation} ${moment}`)

forEachStore('diagnostics channels', ({ createStore }) => {
  test('run tells of the acquire, the hold and the release', async ({ assert, test: current }) => {
    const store = createStore()
    const verrou = new Verrou({
      default: 'main',
      stores: { main: { driver: { factory: () => store } } },
    })
    const published = record(current)
    const names: string[] = []
    await verrou.createLock('k', 5000).run(() => {
      names.push(...namesOf(published))
    })

    assert.deepEqual(names, [...of('acquire'), 'hold start', 'hold end'])
    assert.sameMembers(namesOf(published).slice(names.length), [
      ...of('release'),
      'hold asyncStart',
      'hold asyncEnd',
    ])
    const acquire = lastOf(published, 'acquire asyncEnd')
    assert.containsSubset(acquire, { key: 'k', store: 'main', ttl: 5000, outcome: 'acquired' })
    assert.isAtLeast(acquire.waited, 0)
    assert.strictEqual(lastOf(published, 'acquire start'), acquire)
    const hold = lastOf(published, 'hold asyncEnd')
    assert.containsSubset(hold, { key: 'k', store: 'main', ttl: 5000, outcome: 'released' })
    assert.isAtLeast(hold.held, 0)
    assert.containsSubset(lastOf(published, 'release asyncEnd'), { key: 'k', outcome: 'released' })
  })

  test('acquire, extend and release one by one; the owner is that of the lock', async ({
    assert,
    test: current,
  }) => {
    const lock = new LockFactory(createStore(), { name: 'mine' }).createLock('k', null)
    const published = record(current)
    assert.isTrue(await lock.acquire())
    assert.equal(lastOf(published, 'acquire asyncEnd').owner, lock.getOwner())
    assert.isNull(lastOf(published, 'acquire asyncEnd').ttl)
    await lock.extend('1m')
    await lock.release()

    assert.deepEqual(namesOf(published, 'acquire', 'extend'), [...of('acquire'), ...of('extend')])
    assert.containsSubset(lastOf(published, 'extend asyncEnd'), {
      key: 'k',
      store: 'mine',
      ttl: 60_000,
      isAutomatic: false,
      outcome: 'extended',
    })
    assert.deepEqual(namesOf(published, 'lost'), [])
  })

  test('a refused acquire, and one that waited', async ({ assert, test: current }) => {
    const factory = new LockFactory(createStore())
    const holder = factory.createLock('k')
    await holder.acquire()
    const published = record(current)
    assert.isFalse(await factory.createLock('k').acquireImmediately())
    const refused = lastOf(published, 'acquire asyncEnd')
    assert.containsSubset(refused, { outcome: 'refused', attempts: 1, owner: undefined })

    assert.isFalse(await factory.createLock('k').acquire({ retry: { timeout: 5 } }))
    assert.equal(lastOf(published, 'acquire asyncEnd').outcome, 'refused')
    assert.isAbove(lastOf(published, 'acquire asyncEnd').waited, 4)

    const waiting = factory.createLock('k').acquire()
    assert.equal(namesOf(published).at(-1), 'acquire end')
    await holder.release()
    assert.isTrue(await waiting)
    assert.equal(lastOf(published, 'acquire asyncEnd').outcome, 'acquired')
    assert.deepEqual(namesOf(published, 'hold'), ['hold start', 'hold end'])
  })

  test('what fails is told with its error', async ({ assert, test: current }) => {
    const factory = new LockFactory(createStore())
    const lock = factory.createLock('k')
    const published = record(current)
    const released = await errorOf(() => lock.release())
    assert.containsSubset(lastOf(published, 'release error'), {
      outcome: 'failed',
      error: released,
    })
    const extended = await errorOf(() => lock.extend())
    assert.strictEqual(lastOf(published, 'extend error').error, extended)

    const abort = new AbortController()
    await lock.acquire()
    const waiting = errorOf(() => factory.createLock('k').acquire({ signal: abort.signal }))
    abort.abort(new Error('enough'))
    const reason = await waiting
    assert.containsSubset(lastOf(published, 'acquire error'), { outcome: 'failed', error: reason })
    assert.deepEqual(
      namesOf(published, 'acquire').slice(-3),
      of('acquire', ['error', ...CALL.slice(2)])
    )
  })

  test('an expiry that nobody asks about is told', async ({ assert, test: current }) => {
    const published = record(current)
    await new LockFactory(createStore(), { name: 'mine' }).createLock('k', 20).acquire()
    await until(() => namesOf(published, 'lost').length > 0)

    const lost = lastOf(published, 'lost')
    assert.containsSubset(lost, { key: 'k', store: 'mine', reason: 'expired' })
    assert.equal(lost.error.code, 'E_LOCK_LOST')
    assert.isString(lost.owner)
    assert.deepEqual(namesOf(published, 'hold'), [
      ...of('hold', ['start', 'end']),
      ...of('hold', ['error', 'asyncStart', 'asyncEnd']),
    ])
    assert.containsSubset(lastOf(published, 'hold asyncEnd'), {
      outcome: 'lost',
      error: lost.error,
    })
  })

  test('a lock that was freed by force is lost at its release', async ({
    assert,
    test: current,
  }) => {
    const factory = new LockFactory(createStore())
    const published = record(current)
    const lock = factory.createLock('k')
    await lock.acquire()
    await factory.createLock('k').forceRelease()
    await errorOf(() => lock.release())
    assert.equal(lastOf(published, 'lost').reason, 'not_owned')
    assert.equal(lastOf(published, 'hold asyncEnd').outcome, 'lost')
  })

  test('locks that a close releases are lost', async ({ assert, test: current }) => {
    const factory = new LockFactory(createStore())
    const published = record(current)
    await factory.createLock('k').acquire()
    await factory.close({ release: true })
    assert.equal(lastOf(published, 'lost').reason, 'closed')
  })
})

test.group('diagnostics channels | details', () => {
  test('extensions of a custom store are told, also those that nobody asked for', async ({
    assert,
    test: current,
  }) => {
    const published = record(current, 'automatic')
    const lock = new LockFactory(new SyncStore(), { name: 'mine' }).createLock('automatic', 300)
    await lock.acquire({ autoExtend: true })
    await until(() => namesOf(published, 'extend').length >= 8)
    await lock.release()
    assert.containsSubset(lastOf(published, 'extend asyncEnd'), {
      isAutomatic: true,
      outcome: 'extended',
      store: 'mine',
    })
    assert.deepEqual(namesOf(published, 'lost'), [])
  })

  test('a subscriber hears in the async context of whoever acquires', async ({
    assert,
    test: current,
  }) => {
    const contexts = new AsyncLocalStorage<string>()
    const heard: (string | undefined)[] = []
    const handlers = { start: () => heard.push(contexts.getStore()) }
    const holds = tracingChannel('loquet:hold')
    holds.subscribe(handlers as never)
    current.cleanup(() => void holds.unsubscribe(handlers as never))

    const factory = new LockFactory(new MemoryStore())
    const holder = factory.createLock('k')
    await contexts.run('holder', () => holder.acquire())
    const waiting = contexts.run('waiter', () => factory.createLock('k').acquire())
    await contexts.run('holder', () => holder.release())
    await waiting
    assert.deepEqual(heard, ['holder', 'waiter'])
  })

  test('a context that is bound to the start reaches what is done under it', async ({
    assert,
    test: current,
  }) => {
    const spans = new AsyncLocalStorage<{ key: string }>()
    const { start } = tracingChannel('loquet:acquire')
    start.bindStore(spans as never, (message) => message as never)
    current.cleanup(() => void start.unbindStore(spans as never))
    class SpiedStore extends SyncStore {
      seen: string[] = []
      override save(key: string, owner: string, ttl: number | null): boolean {
        this.seen.push(spans.getStore()?.key ?? 'nothing')
        return super.save(key, owner, ttl)
      }
    }
    const store = new SpiedStore()
    await new LockFactory(store).createLock('k').acquire()
    assert.deepEqual(store.seen, ['k'])
  })

  test('the same answers with a subscriber and without', async ({ assert, test: current }) => {
    const factory = new LockFactory(new MemoryStore())
    const results: unknown[][] = []
    for (const isObserved of [false, true]) {
      if (isObserved) record(current)
      const lock = factory.createLock('k')
      const answers: unknown[] = [await lock.acquire(), await lock.acquireImmediately()]
      const waiting = factory.createLock('k').acquire({ retry: { timeout: 1000 } })
      answers.push(await factory.createLock('k').runImmediately(() => 1))
      await lock.release()
      answers.push(await waiting)
      await lock.forceRelease()
      answers.push(await lock.run(() => 2))
      const held = await lock.hold()
      answers.push(held.isHeld())
      await held.release()
      results.push(answers)
    }
    assert.deepEqual(results[1], results[0])
  })
})
