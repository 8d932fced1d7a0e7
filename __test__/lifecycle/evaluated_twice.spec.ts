/**
 * The package's modules may be evaluated more than once on a thread: by test runners, or through two paths. Copies of one
 * version share what they make; those of different versions have an environment each, over one addon.
 */
import { test } from '@japa/runner'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import * as loquet from 'loquet'
import * as memory from 'loquet/drivers/memory'

const root = fileURLToPath(new URL('../..', import.meta.url))

for (const [title, ofVersion] of [
  ['in one version', (version: string) => version],
  ['in two versions', (version: string) => `${version}-other`],
] as const) {
  test.group(`evaluated twice | ${title}`, (group) => {
    let copy: string

    group.setup(async () => {
      copy = await mkdtemp(join(tmpdir(), 'loquet-twice-'))
      // The JavaScript anew, the addon itself once.
      await cp(join(root, 'build'), join(copy, 'build'), {
        recursive: true,
        filter: (path) => path !== join(root, 'build/native'),
      })
      await symlink(join(root, 'build/native'), join(copy, 'build/native'))
      await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
      const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
      const changed = { ...manifest, version: ofVersion(manifest.version) }
      await writeFile(join(copy, 'package.json'), JSON.stringify(changed))
    })
    group.teardown(() => rm(copy, { recursive: true }))

    async function evaluateAgain() {
      const url = (path: string) => pathToFileURL(join(copy, 'build', path)).href
      const again: typeof loquet = await import(url('index.js'))
      const { MemoryStore, memoryStore }: typeof memory = await import(url('drivers/memory.js'))
      return { ...again, MemoryStore, memoryStore }
    }

    test('C1, C8: both see the same shared locks, and each wakes the other', async ({ assert }) => {
      const twin = await evaluateAgain()
      assert.notStrictEqual(twin.LockFactory, loquet.LockFactory)
      const options = { shared: 'evaluated twice' }
      const here = new loquet.LockFactory(memory.memoryStore(options).factory())
      const there = new twin.LockFactory(twin.memoryStore(options).factory())
      const retry = { delay: 600_000 }

      const lock = here.createLock('k', 60_000)
      await lock.acquire()
      const granted = there.createLock('k', 200).acquire({ retry })
      assert.isFalse(await there.createLock('k').acquireImmediately())
      await lock.release()
      assert.isTrue(await granted)
      // Nobody releases that one: it expires.
      assert.isTrue(await here.createLock('k').acquire({ retry }))
      assert.isFalse(await there.createLock('k').acquire({ retry: { ...retry, timeout: 20 } }))
    })

    test('C1: private locks of one are not those of the other', async ({ assert }) => {
      const twin = await evaluateAgain()
      const here = new loquet.LockFactory(memory.memoryStore().factory())
      const there = new twin.LockFactory(twin.memoryStore().factory())
      assert.isTrue(await here.createLock('k').acquireImmediately())
      assert.isTrue(await there.createLock('k').acquireImmediately())
    })

    test('C1, C3: a store of one under the factory of the other', async ({ assert }) => {
      const twin = await evaluateAgain()
      const store = memory.memoryStore().factory()
      const here = new loquet.LockFactory(store)
      const there = new twin.LockFactory(store)
      const lock = here.createLock('k')
      await lock.acquire()
      assert.isFalse(await there.createLock('k').acquireImmediately())
      await lock.release()
      const other = there.createLock('k', 60_000)
      assert.isTrue(await other.acquire())
      assert.isFalse(await here.createLock('k').acquireImmediately())
      await here.restoreLock(other.serialize()).release()
      const error = await other.release().catch((reason: unknown) => reason)
      assert.instanceOf(error, loquet.E_LOCK_NOT_OWNED)
      assert.instanceOf(error, twin.E_LOCK_NOT_OWNED)
      assert.instanceOf(store, twin.MemoryStore)
    })
  })
}
