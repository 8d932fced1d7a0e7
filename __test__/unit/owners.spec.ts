import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'

import { runModule } from './observe.js'
import { forEachStore } from './stores_under_test.js'

/** 122 random bits: all of a version 4 UUID but for its version and variant. */
const UUID_V4 = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/

forEachStore('owners', ({ createFactory }) => {
  test('C24: an owner has at least 122 random bits, before and after it has acquired', async ({
    assert,
  }) => {
    const factory = createFactory()
    assert.match(factory.createLock('k').getOwner(), UUID_V4)
    const lock = factory.createLock('k')
    await lock.acquire()
    assert.match(lock.getOwner(), UUID_V4)
    await lock.release()
    await lock.run((held) => assert.match(held.getOwner(), UUID_V4))
    const waiter = factory.createLock('waited for')
    const holder = factory.createLock('waited for')
    await holder.acquire()
    const waiting = waiter.acquire()
    await holder.release()
    await waiting
    assert.match(waiter.getOwner(), UUID_V4)
    assert.match(waiter.serialize().owner, UUID_V4)
  })

  test('C24: Math.random has no part in it', async ({ assert }) => {
    const { random } = Math
    Math.random = () => {
      const error = new Error('not a source of owners')
      // It names its queries with it.
      if (error.stack!.includes('/node_modules/knex/')) return random()
      throw error
    }
    try {
      const lock = createFactory().createLock('k')
      await lock.acquire()
      assert.match(lock.getOwner(), UUID_V4)
      await lock.release()
      await lock.run(() => {})
    } finally {
      Math.random = random
    }
  })

  test('C24: every acquisition has its own owner', async ({ assert }) => {
    const factory = createFactory()
    const owners = new Set<string>()
    for (let round = 0; round < 500; round++) {
      await factory.createLock(`key ${round % 7}`).run((lock) => owners.add(lock.getOwner()))
    }
    assert.equal(owners.size, 500)
  })
})

test.group('owners | many', () => {
  test('C24: 100,000 owners are all different, in every part', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore())
    const owners = new Set<string>()
    // Each random digit takes all its values about equally often.
    const counts = Array.from({ length: 32 }, () => new Map<string, number>())
    for (let index = 0; index < 100_000; index++) {
      const owner = factory.createLock('k').getOwner()
      owners.add(owner)
      if (index < 16_000) {
        const digits = owner.replaceAll('-', '')
        for (let place = 0; place < 32; place++) {
          counts[place].set(digits[place], (counts[place].get(digits[place]) ?? 0) + 1)
        }
      }
    }
    assert.equal(owners.size, 100_000)
    for (const [place, values] of counts.entries()) {
      if (place === 12) assert.deepEqual([...values.keys()], ['4'])
      else assert.equal(values.size, place === 16 ? 4 : 16)
      if (place !== 12 && place !== 16) {
        // 1000 expected each; seven standard deviations are about 215.
        for (const count of values.values()) assert.closeTo(count, 1000, 250)
      }
    }
  })

  test('C24: they come from node:crypto', async ({ assert }) => {
    const { code, stdout, stderr } = await runModule(`
      import crypto from 'node:crypto'
      import { syncBuiltinESMExports } from 'node:module'
      let calls = 0
      for (const name of ['randomUUID', 'randomBytes', 'randomFillSync']) {
        const original = crypto[name]
        crypto[name] = (...args) => { calls++; return original(...args) }
      }
      syncBuiltinESMExports()
      const { LockFactory } = await import('loquet')
      const { MemoryStore } = await import('loquet/drivers/memory')
      const factory = new LockFactory(new MemoryStore())
      for (let index = 0; index < 10; index++) factory.createLock('k').getOwner()
      console.log(calls)
    `)
    assert.equal(stderr, '')
    assert.equal(code, 0)
    assert.isAtLeast(Number(stdout), 1)
  })
})
