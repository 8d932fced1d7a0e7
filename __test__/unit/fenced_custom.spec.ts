/**
 * Fencing tokens of stores that are written in JavaScript, on their way from the store to the lease.
 */
import { test } from '@japa/runner'
import { errors } from 'loquet'
import type { LockStore } from 'loquet/types'

import { SCOPE, SETTLED } from '../../lib/engine/lease.js'
import type { AcquireRequest, Lease } from '../../lib/engine/lease.js'
import { StoreEngine } from '../../lib/engine/store_engine.js'
import { rejectionOf, until } from './observe.js'
import { AsyncStore, SyncStore } from './stores_under_test.js'

const scope = {}

/** Acquires as a lock does. */
async function acquire(
  engine: StoreEngine,
  request: Partial<AcquireRequest> = {}
): Promise<Lease | null> {
  const acquired = await engine.acquire({
    acquirer: { [SCOPE]: scope, [SETTLED]: (lease) => lease !== null },
    key: 'k',
    owner: undefined,
    ttl: 60_000,
    fenced: true,
    keep: null,
    retry: { attempts: Number.POSITIVE_INFINITY, delay: 60_000 },
    signal: undefined,
    isFirst: true,
    isTried: false,
    wantsLease: true,
    ...request,
  })
  return acquired as Lease | null
}

const STORES: Record<string, () => LockStore & { tokens: Map<string, bigint> }> = {
  synchronous: () => new SyncStore(),
  asynchronous: () => {
    const store = new AsyncStore()
    return Object.assign(store, { tokens: store.table.tokens })
  },
}

for (const [title, createStore] of Object.entries(STORES)) {
  test.group(`fencing | ${title} custom store`, () => {
    test('a fenced acquire bears the token of the store, others bear none', async ({ assert }) => {
      const store = createStore()
      const engine = new StoreEngine(store)
      const plain = await acquire(engine, { fenced: false })
      assert.isUndefined(plain!.token)
      assert.equal(store.tokens.size, 0)
      await engine.release(plain!)
      const fenced = await acquire(engine)
      assert.strictEqual(BigInt(fenced!.token!), store.tokens.get('k'))
      const refused = await acquire(engine, { retry: { attempts: 1, delay: 0 } })
      assert.isNull(refused)
    })

    test('who waits gets the token of its own acquisition', async ({ assert }) => {
      const engine = new StoreEngine(createStore())
      const leases = [await acquire(engine)]
      const waiting = [true, false, true].map((fenced) => acquire(engine, { fenced }))
      for (const next of waiting) {
        await engine.release(leases.at(-1)!)
        leases.push(await next)
      }
      const [first, second, unfenced, third] = leases.map((lease) => lease!.token)
      assert.isUndefined(unfenced)
      assert.isAbove(second!, first!)
      assert.isAbove(third!, second!)
    })

    test('a name that two acquisitions share does no harm', async ({ assert }) => {
      const engine = new StoreEngine(createStore())
      const asked = [
        { key: 'a', fenced: true },
        { key: 'b', fenced: false },
        { key: 'c', fenced: true },
      ]
      const leases = await Promise.all(
        asked.map((request) => acquire(engine, { owner: 'me', ...request }))
      )
      assert.deepEqual(
        leases.map((lease) => lease!.token !== undefined),
        [true, false, true]
      )
    })

    test('keys that are no Unicode are fenced, too', async ({ assert }) => {
      const store = createStore()
      const lease = await acquire(new StoreEngine(store), { key: '\0"\\ud800"' })
      assert.strictEqual(BigInt(lease!.token!), store.tokens.get('\ud800'))
    })
  })
}

test.group('fencing | answers of custom stores', () => {
  test('C21: what is no token is an error that names the method, and nobody holds the lock', async ({
    assert,
  }) => {
    for (const answer of [true, undefined, null, 1, '1', 0n, -1n, 2n ** 53n, {}]) {
      const store = new SyncStore()
      store.saveFenced = ((key: string, owner: string, ttl: number | null) => {
        store.save(key, owner, ttl)
        return answer
      }) as never
      const error = await rejectionOf(acquire(new StoreEngine(store)))
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      assert.match(error.message, /saveFenced.*bigint/)
      assert.isFalse(store.exists('k'))
      const later = Object.assign(new AsyncStore(), { saveFenced: async () => answer as never })
      const same = await rejectionOf(acquire(new StoreEngine(later)))
      assert.equal(same.message, error.message)
    }
  })

  test('C21: what saveFenced throws reaches the caller as it is', async ({ assert }) => {
    const reason = new Error('no connection')
    const store = new SyncStore()
    store.saveFenced = () => {
      throw reason
    }
    assert.strictEqual(await rejectionOf(acquire(new StoreEngine(store))), reason)
  })

  test('a token that nobody waits for any longer is forgotten with its lock', async ({
    assert,
  }) => {
    const store = new AsyncStore()
    const engine = new StoreEngine(store)
    for (const round of [1, 2]) {
      const controller = new AbortController()
      const given = acquire(engine, { owner: `owner ${round}`, signal: controller.signal })
      controller.abort()
      await rejectionOf(given)
      await until(() => store.table.deletes.length === round)
    }
    assert.isFalse(await store.exists('k'))
    // Under the same name, it is another acquisition.
    const plain = await acquire(engine, { owner: 'owner 1', fenced: false })
    assert.isUndefined(plain!.token)
    const waiting = acquire(engine)
    engine.close(scope)
    const closed = await rejectionOf(waiting)
    assert.equal(closed.code, errors.E_LOCK_CLOSED.code)
    await engine.release(plain!)
    const again = await rejectionOf(engine.release(plain!))
    assert.equal(again.code, 'E_LOCK_NOT_OWNED')
  })
})
