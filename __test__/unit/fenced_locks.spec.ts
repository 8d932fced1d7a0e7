import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { DatabaseStore } from 'loquet/drivers/database'
import { MemoryStore } from 'loquet/drivers/memory'
import type { Lock } from 'loquet'

import { errorOf, sleep } from './observe.js'
import { forEachStore } from './stores_under_test.js'

/** More than any test takes; milliseconds. */
const LONG = 300_000

forEachStore('fenced locks', ({ createFactory, isFenced }) => {
  if (!isFenced) return

  test('a lock bears the token of its acquisition, and none without being told to', async ({
    assert,
  }) => {
    const factory = createFactory()
    const fenced = factory.createLock('k', LONG, { fencing: true })
    assert.isNull(fenced.fencingToken)
    await fenced.acquire()
    const first = fenced.fencingToken!
    assert.isTrue(first > 0n && first < 2n ** 53n)
    await fenced.extend()
    assert.strictEqual(fenced.fencingToken, first)
    await fenced.release()

    const plain = factory.createLock('k', LONG)
    await plain.acquire()
    assert.isNull(plain.fencingToken)
    await plain.release()
    assert.isTrue(await fenced.acquireImmediately())
    assert.isTrue(fenced.fencingToken! > first)
    await fenced.release()
  })

  test('tokens grow in the order of the holders, whichever way each of them comes', async ({
    assert,
  }) => {
    const factory = createFactory()
    const tokens: (bigint | null)[] = []
    const note = async (lock: Lock) => {
      tokens.push(lock.fencingToken)
      await sleep(1)
    }
    const options = { fencing: true }
    const tasks = Array.from({ length: 12 }, async (_, task) => {
      for (let round = 0; round < 3; round++) {
        const lock = factory.createLock('k', LONG, task % 4 === 3 ? {} : options)
        if (task % 4 === 1) await lock.run(note, { autoExtend: true })
        else if (task % 4 === 2 && (await lock.acquireImmediately())) {
          await note(lock)
          await lock.release()
        } else await lock.run(note, { signal: new AbortController().signal })
      }
    })
    await Promise.all(tasks)
    assert.lengthOf(tokens, 36)
    const given = tokens.filter((token) => token !== null)
    assert.lengthOf(given, 27)
    for (const [index, token] of given.entries()) {
      if (index > 0) assert.isTrue(token > given[index - 1], `${token} after ${given[index - 1]}`)
    }
  })
})

test.group('fenced locks | memory', () => {
  test('what the store says counts unless the lock says otherwise', async ({ assert }) => {
    const factory = new LockFactory(new MemoryStore({ fencing: true }))
    const lock = factory.createLock('k')
    await lock.acquire()
    assert.isNotNull(lock.fencingToken)
    await lock.release()
    const plain = factory.createLock('k', LONG, { fencing: false })
    await plain.acquire()
    assert.isNull(plain.fencingToken)
    await plain.release()
  })

  test('C18: fencing is true or false', ({ assert }) => {
    for (const fencing of ['yes', 1, null]) {
      assert.throws(
        () => new MemoryStore({ fencing: fencing as never }),
        /"fencing".*true or false/
      )
    }
  })

  test('tokens grow over the stores of one lock space, and from one space to the next', async ({
    assert,
  }) => {
    let last = 0n
    for (let round = 0; round < 6; round++) {
      const shared = round < 3 ? 'fenced locks' : undefined
      const store = new MemoryStore({ shared })
      const token = (await store.saveFenced('k', `owner ${round}`, null)) as bigint
      assert.isTrue(token > last, `${token} after ${last}`)
      last = token
      await store.delete('k', `owner ${round}`)
      await sleep(1)
    }
  })
})

test.group('fenced locks | bad input', () => {
  test('C18: what is no boolean, or no options', async ({ assert }) => {
    const store = new MemoryStore()
    const factory = new LockFactory(store)
    const bad: [name: string, call: () => unknown][] = [
      ['fencing', () => new LockFactory(store, { fencing: 'yes' as never })],
      ['fencing', () => factory.createLock('k', LONG, { fencing: 1 as never })],
      ['lock options', () => factory.createLock('k', LONG, 5 as never)],
      ['lock options', () => factory.createLock('k', LONG, null as never)],
      [
        'database store option "fencing"',
        () => new DatabaseStore({ setTableName() {} } as never, { fencing: 'yes' as never }),
      ],
    ]
    for (const [name, call] of bad) {
      const error = await errorOf(call)
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION', String(error))
      assert.include(error.message, `Invalid ${name}: expected `)
    }
  })

  test('C19: a store that can not give tokens is named', async ({ assert }) => {
    class Plain {
      save = () => true
      delete = () => {}
      forceDelete = () => {}
      exists = () => false
      extend = () => {}
    }
    const factory = new LockFactory(new Plain())
    for (const call of [
      () => new LockFactory(new Plain(), { fencing: true }),
      () => factory.createLock('k', LONG, { fencing: true }),
    ]) {
      const error = await errorOf(call)
      assert.equal(
        error.message,
        "The store Plain can't make fencing tokens: it has no method saveFenced"
      )
    }
  })
})
