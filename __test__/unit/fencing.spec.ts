import { test } from '@japa/runner'
import type { LockStore } from 'loquet/types'

import { assertNotOwned, sleep, until } from './observe.js'
import { forEachStore } from './stores_under_test.js'

/** A store as it is when it can give tokens. */
type FencedStore = LockStore & Required<Pick<LockStore, 'saveFenced'>>

/** More than any test takes; milliseconds. */
const LONG = 300_000

forEachStore('fencing', ({ createStore, isFenced }) => {
  if (!isFenced) return

  const newStore = () => createStore() as FencedStore
  let owners = 0
  /** Acquires for an owner of its own; fails if the key is held. */
  const take = async (
    store: FencedStore,
    key: string,
    ttl: number | null = LONG
  ): Promise<{ owner: string; token: bigint }> => {
    const owner = `owner ${++owners}`
    const token = await store.saveFenced(key, owner, ttl)
    if (token === false) throw new Error(`${key} is held`)
    return { owner, token }
  }

  test('a token is a positive bigint of the present in microseconds, below 2^53', async ({
    assert,
  }) => {
    const store = newStore()
    const before = Date.now()
    const { owner, token } = await take(store, 'k')
    assert.isTrue(typeof token === 'bigint' && token < 2n ** 53n)
    // A minute for clocks that aren't in step.
    assert.closeTo(Number(token) / 1000, (before + Date.now()) / 2, 60_000)
    await store.delete('k', owner)
  })

  test('tokens of a key grow from owner to owner, without a TTL too', async ({ assert }) => {
    const store = newStore()
    let last = 0n
    for (let round = 0; round < 12; round++) {
      const { owner, token } = await take(store, 'k', round % 2 === 0 ? LONG : null)
      assert.isTrue(token > last, `${token} after ${last}`)
      last = token
      await store.delete('k', owner)
      await assertNotOwned(assert, () => store.delete('k', owner))
    }
  })

  test('C1: what is held, fenced or not, is neither saved nor fenced', async ({ assert }) => {
    const store = newStore()
    const { owner } = await take(store, 'k')
    assert.strictEqual(await store.saveFenced('k', 'other', LONG), false)
    assert.isFalse(await store.save('k', 'other', LONG))
    await store.delete('k', owner)

    assert.isTrue(await store.save('k', 'plain', LONG))
    assert.strictEqual(await store.saveFenced('k', 'other', LONG), false)
    await assertNotOwned(assert, () => store.delete('k', 'other'))
    await store.delete('k', 'plain')
  })

  test('a released fenced lock is free for everybody', async ({ assert }) => {
    const store = newStore()
    const { owner, token } = await take(store, 'k')
    assert.isTrue(await store.exists('k'))
    await store.delete('k', owner)
    assert.isFalse(await store.exists('k'))
    await assertNotOwned(assert, () => store.extend('k', owner, LONG))
    await store.forceDelete('k')
    assert.isTrue(await store.save('k', 'plain', LONG))
    assert.isTrue(await store.exists('k'))
    await store.delete('k', 'plain')
    assert.isFalse(await store.exists('k'))
    const next = await take(store, 'k')
    assert.isTrue(next.token > token)
    await store.delete('k', next.owner)
  })

  test('C2: tokens grow over an expiry, and the new owner owns the lock fully', async ({
    assert,
  }) => {
    const store = newStore()
    const old = await take(store, 'k', 500)
    await until(async () => !(await store.exists('k')))
    const next = await take(store, 'k')
    assert.isTrue(next.token > old.token)
    await assertNotOwned(assert, () => store.delete('k', old.owner))
    await assertNotOwned(assert, () => store.extend('k', old.owner, LONG))
    await store.extend('k', next.owner, LONG)
    await store.delete('k', next.owner)
  })

  test('C2: tokens grow over forced releases', async ({ assert }) => {
    const store = newStore()
    const old = await take(store, 'k', null)
    await store.forceDelete('k')
    assert.isFalse(await store.exists('k'))
    await assertNotOwned(assert, () => store.delete('k', old.owner))
    const next = await take(store, 'k')
    assert.isTrue(next.token > old.token)
    await store.forceDelete('k')
    const last = await take(store, 'k')
    assert.isTrue(last.token > next.token)
    await store.delete('k', last.owner)
  })

  test('C3: a fenced lease is extended like any other, and its token stays', async ({ assert }) => {
    const store = newStore()
    const { owner, token } = await take(store, 'k', 1_500)
    await store.extend('k', owner, LONG)
    await assertNotOwned(assert, () => store.extend('k', 'other', LONG))
    await sleep(1_600)
    assert.strictEqual(await store.saveFenced('k', 'other', LONG), false)
    await store.delete('k', owner)
    const next = await take(store, 'k')
    assert.isTrue(next.token > token)
    await store.delete('k', next.owner)
  })

  test('C1: of many at once one gets the lock, and each holder a greater token', async ({
    assert,
  }) => {
    const store = newStore()
    const tokens: bigint[] = []
    let inside = 0
    const compete = async (contender: number) => {
      for (let done = 0; done < 3;) {
        const owner = `contender ${contender}, ${++owners}`
        const token = await store.saveFenced('k', owner, LONG)
        if (token === false) {
          await sleep(2)
          continue
        }
        assert.equal(++inside, 1)
        tokens.push(token)
        await sleep(1)
        inside--
        done++
        await store.delete('k', owner)
      }
    }
    await Promise.all(Array.from({ length: 6 }, (_, contender) => compete(contender)))
    assert.lengthOf(tokens, 18)
    for (const [index, token] of tokens.entries()) {
      if (index > 0) assert.isTrue(token > tokens[index - 1], `${token} after ${tokens[index - 1]}`)
    }
  })

  test('C20: each key has tokens of its own, whatever its text', async ({ assert }) => {
    const store = newStore()
    const keys = ['a', 'A', 'a ', 'a{b}c', '}{', '日本語 🔒', 'x'.repeat(1_000), 'x'.repeat(1_001)]
    const first = await Promise.all(keys.map((key) => take(store, key)))
    await Promise.all(keys.map((key, index) => store.delete(key, first[index].owner)))
    const second = await Promise.all(keys.map((key) => take(store, key)))
    for (const index of keys.keys()) {
      assert.isTrue(second[index].token > first[index].token, keys[index])
    }
    await Promise.all(keys.map((key, index) => store.delete(key, second[index].owner)))
  })
})
