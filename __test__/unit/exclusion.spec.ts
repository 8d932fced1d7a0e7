import { setImmediate as turn } from 'node:timers/promises'

import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import type { Lock } from 'loquet'

import { isPending, sleep } from './observe.js'
import { forEachStore } from './stores_under_test.js'

/** Critical sections that notice when they overlap, and lose counts when they do. */
class Sections {
  readonly counts = new Map<string, number>()
  readonly #inside = new Set<string>()
  overlaps = 0

  async enter(key: string): Promise<void> {
    if (this.#inside.has(key)) this.overlaps++
    this.#inside.add(key)
    const count = this.counts.get(key) ?? 0
    await turn()
    this.counts.set(key, count + 1)
    this.#inside.delete(key)
  }
}

forEachStore('exclusion', ({ createStore, createFactory }) => {
  test('C1: of hundreds of tasks on few keys no two are inside at once, and none is lost', async ({
    assert,
  }) => {
    const factory = createFactory()
    const sections = new Sections()
    const keys = ['one', 'two', 'three']

    const withRun = (key: string) => factory.createLock(key).run(() => sections.enter(key))
    const byHand = async (key: string) => {
      const lock = factory.createLock(key, null)
      await lock.acquire({ retry: { delay: 1 } })
      await sections.enter(key)
      await lock.release()
    }
    const impatient = async (key: string) => {
      const lock = factory.createLock(key)
      while (!(await lock.acquireImmediately())) await turn()
      await sections.enter(key)
      await lock.release()
    }
    const tasks = Array.from({ length: 300 }, (_, index) => {
      const work = [withRun, byHand, withRun, byHand, impatient][index % 5]
      return work(keys[index % 3])
    })
    await Promise.all(tasks)

    assert.equal(sections.overlaps, 0)
    assert.deepEqual(
      keys.map((key) => sections.counts.get(key)),
      [100, 100, 100]
    )
    for (const key of keys) assert.isFalse(await factory.createLock(key).isLocked())
  })

  test('C1: of many immediate attempts at once exactly one succeeds', async ({ assert }) => {
    const factory = createFactory()
    for (let round = 0; round < 10; round++) {
      const locks = Array.from({ length: 50 }, () => factory.createLock('k'))
      const acquired = await Promise.all(locks.map((lock) => lock.acquireImmediately()))
      assert.equal(acquired.filter(Boolean).length, 1)
      await locks[acquired.indexOf(true)].release()
    }
  })

  test('C1: factories on the same store exclude each other', async ({ assert }) => {
    const store = createStore()
    const factories = [new LockFactory(store), new LockFactory(store), new LockFactory(store)]
    const sections = new Sections()
    const tasks = Array.from({ length: 90 }, (_, index) =>
      factories[index % 3].createLock('k').run(() => sections.enter('k'))
    )
    await Promise.all(tasks)
    assert.equal(sections.overlaps, 0)
    assert.equal(sections.counts.get('k'), 90)
  })

  test('C1: keys do not hinder each other', async ({ assert }) => {
    const factory = createFactory()
    const locks = Array.from({ length: 200 }, (_, index) => factory.createLock(`key ${index}`))
    for (const lock of locks) assert.isTrue(await lock.acquireImmediately())
    for (const lock of locks) await lock.release()
  })

  test('C1: a lease without a TTL does not end by itself', async ({ assert }) => {
    const factory = createFactory()
    await factory.createLock('k', null).acquire()
    assert.isFalse(await factory.createLock('k').acquire({ retry: { delay: 10, timeout: 80 } }))
  })

  test('C1: nobody is granted the lock before the lease of the holder is over', async ({
    assert,
  }) => {
    const factory = createFactory({ retry: { delay: 3 } })
    const order: Lock[] = []
    let early = 0
    // Nobody releases: each gets the lock when the one before has expired.
    const tasks = Array.from({ length: 5 }, async () => {
      const lock = factory.createLock('k', 60)
      await lock.acquire()
      const before = order.at(-1)
      if (before !== undefined && !before.isExpired()) early++
      order.push(lock)
    })
    await Promise.all(tasks)
    assert.equal(order.length, 5)
    assert.equal(early, 0)
  })

  test('C4: a second acquire of the same object waits like any other', async ({ assert }) => {
    const lock = createFactory().createLock('k')
    assert.isTrue(await lock.acquire())
    assert.isFalse(await lock.acquireImmediately())
    assert.isFalse(await lock.acquire({ retry: { timeout: 20 } }))

    const second = lock.acquire()
    assert.isTrue(await isPending(second))
    await lock.release()
    assert.isTrue(await second)
    await lock.release()
  })

  test('C4: run inside run of the same object does not enter', async ({ assert }) => {
    const lock = createFactory().createLock('k')
    const outcome = await lock.run(async () => {
      const immediate = await lock.runImmediately(() => 'inner')
      const waiting = await lock.run(() => 'inner', { retry: { timeout: 20 } })
      return [immediate, waiting]
    })
    assert.deepEqual(outcome, [
      true,
      [
        [false, null],
        [false, null],
      ],
    ])
    assert.isFalse(await lock.isLocked())
  })
})

test.group('exclusion | memory stores', () => {
  test('C1: stores are private, unless they share a name', async ({ assert }) => {
    const open = (options?: { shared: string }) => new LockFactory(new MemoryStore(options))
    const [one, two] = [open({ shared: 'exclusion' }), open({ shared: 'exclusion' })]
    const holder = one.createLock('k')
    await holder.acquire()
    assert.isFalse(await two.createLock('k').acquireImmediately())
    assert.isTrue(await open({ shared: 'another' }).createLock('k').acquireImmediately())
    assert.isTrue(await open().createLock('k').acquireImmediately())
    assert.isTrue(await open().createLock('k').acquireImmediately())

    const waiting = two.createLock('k').acquire({ retry: { delay: 60_000 } })
    await holder.release()
    assert.isTrue(await waiting)
  })

  test('C1: short leases that expire while tasks race never leave two holders', async ({
    assert,
  }) => {
    const factory = new LockFactory(new MemoryStore())
    let current: Lock | undefined
    let clashes = 0
    const task = async (index: number) => {
      const lock = factory.createLock('k', 15)
      await lock.acquire()
      if (current !== undefined && !current.isExpired()) clashes++
      current = lock
      // Every third forgets to release, every third is late.
      if (index % 3 === 1) await sleep(20)
      if (index % 3 !== 0) {
        if (current === lock) current = undefined
        await lock.release().catch(() => {})
      }
    }
    await Promise.all(Array.from({ length: 60 }, (_, index) => task(index)))
    assert.equal(clashes, 0)
  })
})
