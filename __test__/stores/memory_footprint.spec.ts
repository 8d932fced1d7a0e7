import { test } from '@japa/runner'

import { runModule } from '../unit/observe.js'
import type { Assert } from '@japa/assert'

/**
 * What is freed goes back to the system, whatever the allocator has seen before. Otherwise glibc keeps tens of megabytes or
 * doesn't, depending on which block it frees first.
 */
const ALLOCATOR = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
}

/** What a process of its own measures: the JSON that `source` reports. */
async function measure(source: string): Promise<any> {
  const { code, stdout, stderr } = await runModule(
    `
      import { setTimeout as sleep } from 'node:timers/promises'
      import { LockFactory } from 'loquet'
      import { MemoryStore } from 'loquet/drivers/memory'

      /** Bytes in use after everything that can be collected has been. */
      async function bytes() {
        for (let round = 0; round < 3; round++) {
          await sleep(5)
          globalThis.gc()
        }
        const { heapUsed, heapTotal, external, rss } = process.memoryUsage()
        // How much V8 keeps for later is its own affair.
        return { used: heapUsed + external, native: rss - heapTotal }
      }

      /** By how many bytes each round grows at least; the first ones only warm up. What leaks grows in every round. */
      async function growthOf(round) {
        await round()
        await round()
        const growths = []
        let before = await bytes()
        for (let count = 0; count < 3; count++) {
          await round()
          const after = await bytes()
          growths.push({ used: after.used - before.used, native: after.native - before.native })
          before = after
        }
        const least = (kind) => Math.min(...growths.map((growth) => growth[kind]))
        return { used: least('used'), native: least('native') }
      }

      const report = (result) => console.log(JSON.stringify(result))
      ${source}
    `,
    ['--expose-gc'],
    ALLOCATOR
  )
  if (code !== 0) throw new Error(`the process has failed (${code}): ${stderr}`)
  return JSON.parse(stdout)
}

const CUSTOM_STORE = `
  const held = new Map()
  const custom = {
    save: (key, owner) => !held.has(key) && !!held.set(key, owner),
    delete: (key) => void held.delete(key),
    forceDelete: (key) => void held.delete(key),
    exists: (key) => held.has(key),
    extend() {},
  }
`

const MB = 1024 * 1024

/** Far less than any leak, more than what the garbage collector leaves to chance. */
function assertNoLeak(assert: Assert, growth: { used: number; native: number }): void {
  assert.isBelow(growth.used, 0.5 * MB)
  assert.isBelow(growth.native, 4 * MB)
}

test.group('Memory footprint', () => {
  for (const [name, store] of [
    ['memory store', 'new MemoryStore()'],
    ['custom store', 'custom'],
  ]) {
    test(`C13: 100,000 failed tries leave no memory behind: ${name}`, async ({ assert }) => {
      const { growth, failed, census } = await measure(`
        ${CUSTOM_STORE}
        const store = ${store}
        const factory = new LockFactory(store)
        await factory.createLock('k', null).acquire()
        let failed = 0
        const growth = await growthOf(async () => {
          for (let batch = 0; batch < 20; batch++) {
            const tries = Array.from({ length: 1000 }, (_, index) => {
              const lock = factory.createLock('k')
              return index % 50 === 0
                ? lock.acquire({ retry: { attempts: 2, delay: 1 } })
                : lock.acquireImmediately()
            })
            for (const acquired of await Promise.all(tries)) if (!acquired) failed++
          }
        })
        report({ growth, failed, census: store.census?.() })
      `)
      assert.equal(failed, 100_000)
      if (name === 'memory store') assert.deepEqual(census, { leases: 1, waiters: 0 })
      assertNoLeak(assert, growth)
    })
  }

  test('C13: waits that end by timeout, chances and signal leave no memory behind', async ({
    assert,
  }) => {
    const { growth, census } = await measure(`
      const store = new MemoryStore()
      const factory = new LockFactory(store)
      await factory.createLock('k', null).acquire()
      const growth = await growthOf(async () => {
        const waits = Array.from({ length: 15_000 }, (_, index) => {
          const lock = factory.createLock('k')
          if (index % 3 === 0) return lock.acquire({ retry: { timeout: 1 } })
          if (index % 3 === 1) return lock.acquire({ retry: { attempts: 2, delay: 1 } })
          const abort = new AbortController()
          setImmediate(() => abort.abort())
          return lock.acquire({ signal: abort.signal }).catch(() => false)
        })
        await Promise.all(waits)
      })
      report({ growth, census: store.census() })
    `)
    assert.deepEqual(census, { leases: 1, waiters: 0 })
    assertNoLeak(assert, growth)
  })

  test('250,000 expired keys are freed, with no further call', async ({ assert }) => {
    const { peak, idle, first, second, census } = await measure(`
      const store = new MemoryStore()
      const factory = new LockFactory(store)
      let number = 0
      async function round() {
        for (let index = 0; index < 250_000; index++) {
          factory.createLock('a key that nobody releases ' + number++, 1000).acquire()
        }
        const { leases } = store.census()
        const start = Date.now()
        while (store.census().leases > 0 && Date.now() - start < 15_000) await sleep(20)
        // What JavaScript knows of them goes some time later.
        while ((await bytes()).used - idle.used > 3e6 && Date.now() - start < 15_000) await sleep(100)
        return leases
      }
      const idle = await bytes()
      const peak = await round()
      const first = await bytes()
      await round()
      report({ peak, idle, first, second: await bytes(), census: store.census() })
    `)
    // On a slow machine the first of them may be gone before the last ones are made.
    assert.isAbove(peak, 50_000)
    assert.deepEqual(census, { leases: 0, waiters: 0 })
    assert.isBelow(second.used - idle.used, 3 * MB)
    // Forty bytes for each key would be more.
    assert.isBelow(second.native - first.native, 10 * MB)
  })

  test('keys that were released leave no memory behind', async ({ assert }) => {
    const { growth, census } = await measure(`
      const store = new MemoryStore()
      const factory = new LockFactory(store)
      let number = 0
      const growth = await growthOf(async () => {
        for (let index = 0; index < 60_000; index++) {
          await factory.createLock('a key of its own ' + number++).run(() => {})
        }
      })
      report({ growth, census: store.census() })
    `)
    assert.deepEqual(census, { leases: 0, waiters: 0 })
    assertNoLeak(assert, growth)
  })

  test('stores that nobody refers to any longer are freed with their locks', async ({ assert }) => {
    const { growth } = await measure(`
      ${CUSTOM_STORE}
      const growth = await growthOf(async () => {
        for (let index = 0; index < 1000; index++) {
          const factory = new LockFactory(index % 2 === 0 ? new MemoryStore() : { ...custom })
          for (let key = 0; key < 40; key++) {
            await factory.createLock('a key of some length ' + key, null).acquireImmediately()
          }
          held.clear()
        }
        await bytes()
      })
      report({ growth })
    `)
    assertNoLeak(assert, growth)
  })
})
