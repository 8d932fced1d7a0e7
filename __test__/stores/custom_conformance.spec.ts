import { test } from '@japa/runner'
import { E_LOCK_NOT_OWNED } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import { registerStoreTestSuite } from 'loquet/test_suite'
import type { LockStore } from 'loquet/types'

import { runCollected } from './collected_suite.js'
import { runModule } from '../unit/observe.js'
import { AsyncStore, CountingMemoryStore, SyncStore } from '../unit/stores_under_test.js'

const STORES: Record<string, () => LockStore | Promise<LockStore>> = {
  'an asynchronous custom store': () => new AsyncStore(),
  'a synchronous custom store, made asynchronously': async () => new SyncStore(),
  'a memory store with an overridden method': () => new CountingMemoryStore(),
  'a shared memory store': () => new MemoryStore({ shared: 'conformance' }),
}

test.group('Conformance | stores', () => {
  for (const [name, createStore] of Object.entries(STORES)) {
    test(`the suite passes for ${name}`, async ({ assert }) => {
      const register = (collect: typeof test) =>
        registerStoreTestSuite({ test: collect, createStore })
      const { count, failures } = await runCollected(assert, register)
      assert.deepEqual(failures, {})
      assert.isAtLeast(count, 15)
    })
  }

  test('the suite needs nothing of the settings of the runner', async ({ assert }) => {
    const { code, stdout, stderr } = await runModule(
      `
      import { assert } from '@japa/assert'
      import { configure, run } from '@japa/runner'
      configure({ plugins: [assert()], files: ['__test__/stores/conformance.spec.ts'] })
      await run()
    `,
      ['--import', 'tsx']
    )
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /save: locks a free key/)
  })
})

/** Stores with one defect each. The suite is there to find it. */
const BROKEN: Record<string, new () => LockStore> = {
  'saves what is held': class extends SyncStore {
    override save(key: string, owner: string, ttl: number | null) {
      this.table.delete(key)
      return super.save(key, owner, ttl)
    }
  },
  'lets anybody delete': class extends SyncStore {
    override delete(key: string) {
      this.table.delete(key)
    }
  },
  'is silent about a lock that is not held': class extends SyncStore {
    override delete(key: string, owner: string) {
      if (this.holderOf(key) === owner) super.delete(key, owner)
    }
  },
  'lets anybody extend': class extends SyncStore {
    override extend(key: string, _: string, duration: number) {
      const holder = this.holderOf(key)
      if (holder === undefined) throw new E_LOCK_NOT_OWNED()
      super.extend(key, holder, duration)
    }
  },
  'revives what has expired': class extends SyncStore {
    override extend(key: string, owner: string, duration: number) {
      const entry = this.table.get(key)
      if (entry?.owner !== owner) throw new E_LOCK_NOT_OWNED()
      entry.endsAt = this.now() + duration
    }
  },
  'never lets a lease expire': class extends SyncStore {
    protected override isLive() {
      return true
    }
  },
  'makes every lease expire': class extends SyncStore {
    override save(key: string, owner: string, ttl: number | null) {
      return super.save(key, owner, ttl ?? 100)
    }
  },
  'is deaf to case': class extends SyncStore {
    override save(key: string, owner: string, ttl: number | null) {
      return super.save(key.toLowerCase(), owner, ttl)
    }

    override holderOf(key: string) {
      return super.holderOf(key.toLowerCase())
    }
  },
  'fences what is held': class extends SyncStore {
    override saveFenced(key: string, owner: string, ttl: number | null) {
      return super.saveFenced(key, owner, ttl) || 1n
    }
  },
  'gives the same token again': class extends SyncStore {
    override saveFenced(key: string, owner: string, ttl: number | null) {
      return super.save(key, owner, ttl) && BigInt(Date.UTC(2100, 0)) * 1000n
    }
  },
  'forgets the last token with a forced release': class extends SyncStore {
    #last = 0n

    override saveFenced(key: string, owner: string, ttl: number | null) {
      return this.save(key, owner, ttl) && ++this.#last
    }

    override forceDelete(key: string) {
      super.forceDelete(key)
      this.#last = 0n
    }
  },
  'numbers acquisitions': class extends SyncStore {
    override saveFenced(key: string, owner: string, ttl: number | null) {
      const token = super.saveFenced(key, owner, ttl)
      return token && (Number(token) as never)
    }
  },
  'does not extend': class extends SyncStore {
    override extend(key: string, owner: string) {
      if (this.holderOf(key) !== owner) throw new E_LOCK_NOT_OWNED()
    }
  },
}

test.group('Conformance | broken stores', () => {
  test(`the suite finds every defect: ${Object.keys(BROKEN).join('; ')}`, async ({ assert }) => {
    const runs = Object.entries(BROKEN).map(async ([title, Store]) => {
      const { failures } = await runCollected(
        assert,
        (collect) => registerStoreTestSuite({ test: collect, createStore: () => new Store() }),
        // The methods of the store one by one; what is built on them would wait for seconds.
        { wanted: /^(save|saveFenced|delete|forceDelete|extend|expiry)/ }
      )
      assert.isNotEmpty(failures, `a store that ${title}`)
    })
    await Promise.all(runs)
  })
})
