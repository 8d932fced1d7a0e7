/**
 * The package's modules may be evaluated more than once on a thread: by test runners, or through two paths.
 */
import { test } from '@japa/runner'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import * as loquet from 'loquet'
import * as memory from 'loquet/drivers/memory'

const root = fileURLToPath(new URL('../..', import.meta.url))

test.group('evaluated twice', (group) => {
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
    await cp(join(root, 'package.json'), join(copy, 'package.json'))
  })
  group.teardown(() => rm(copy, { recursive: true }))

  async function evaluateAgain() {
    const url = (path: string) => pathToFileURL(join(copy, 'build', path)).href
    const again: typeof loquet = await import(url('index.js'))
    const { memoryStore }: typeof memory = await import(url('drivers/memory.js'))
    return { ...again, memoryStore }
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
})
