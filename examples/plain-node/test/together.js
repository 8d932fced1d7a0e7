import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/**
 * The tests of locks that other processes see.
 *
 * @param {string} name - Where they are: `redis` or `database`
 * @param {() => Awaited<ReturnType<typeof import('../src/processes/together.js').together>>} place - The same, when it is there
 */
export function testsOfProcesses(name, place) {
  for (const [one, other] of [
    ['url', 'client'],
    ['client', 'url'],
  ]) {
    test(`a lock by ${one} excludes those by both`, async () => {
      const { locks } = place()
      const lock = locks.use(one).createLock('a', '10s')
      assert.equal(await lock.acquireImmediately(), true)
      assert.equal(await locks.use(one).createLock('a').acquireImmediately(), false)
      assert.equal(await locks.use(other).createLock('a').acquireImmediately(), false)

      const next = locks.use(other).createLock('a')
      const turn = next.acquire()
      await lock.release()
      assert.equal(await turn, true)
      await next.release()
      assert.equal(await lock.isLocked(), false)
    })
  }

  test('processes that count together lose nothing', async () => {
    assert.equal(await place().countTogether(3, 20), 60)
  })

  test('a lock is released by another process than the one that acquired it', async () => {
    const { locks, releaseElsewhere } = place()
    const lock = locks.createLock('order.processing.a')

    assert.equal(await lock.acquireImmediately(), true)
    assert.equal(await releaseElsewhere('a'), false)
    await lock.release()

    assert.equal(await releaseElsewhere('a'), true)
    assert.equal(await lock.isLocked(), false)
  })

  test('the program says what it does', async () => {
    const main = fileURLToPath(new URL('../src/processes/main.js', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [main, name])

    assert.match(stdout, /^ {2}100$/m)
    assert.match(stdout, /when it is released: true$/m)
    assert.match(stdout, /free for the other one: false$/m)
  })
}
