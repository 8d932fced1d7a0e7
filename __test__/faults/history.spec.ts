/**
 * The recorder: what is written down, in which order, and what of it survives a process that is killed.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'
import { MemoryStore } from 'loquet/drivers/memory'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { assertRight } from './checker.js'
import { History, Recorder, now } from './history.js'
import type { LeaseEvent } from './history.js'

test.group('history', (group) => {
  let history: History
  group.each.setup(() => {
    history = new History()
    return () => history.remove()
  })

  test('what is done with locks is recorded, with what their holders believe', async ({
    assert,
  }) => {
    const recorder = new Recorder(history.folder, 'one')
    const factory = new LockFactory(new MemoryStore())
    const [first, second] = [1, 2].map(() =>
      recorder.watch(factory.createLock('k', 5_000), 'k', 5_000)
    )
    assert.isTrue(await first.acquire())
    const waiting = second.acquire()
    await first.extend(9_000)
    await first.release()
    assert.isTrue(await waiting)
    await second.release()
    await assert.rejects(() => second.release(), /not acquired by you/)

    const events = history.read() as LeaseEvent[]
    const owners = [first.owner, second.owner]
    assert.deepEqual(
      events.map(({ kind, owner, ttl, code }) => [owners.indexOf(owner), kind, ttl ?? code]),
      [
        [0, 'asked', 5_000],
        [0, 'granted', undefined],
        [1, 'asked', 5_000],
        [0, 'extending', 9_000],
        [0, 'extended', undefined],
        [0, 'releasing', undefined],
        // Settled within the release, so before its caller goes on.
        [1, 'granted', undefined],
        [0, 'released', undefined],
        [1, 'releasing', undefined],
        [1, 'released', undefined],
        [1, 'releasing', undefined],
        [1, 'release-failed', 'E_LOCK_NOT_OWNED'],
      ]
    )
    const [asked, granted, , extending, extended] = events
    assert.isAtMost(granted.until!, granted.at + 5_000)
    assert.isAtLeast(granted.until!, asked.at + 5_000)
    assert.isAtMost(extended.until!, extended.at + 9_000)
    assert.isAtLeast(extended.until!, extending.at + 9_000)
    const { granted: count } = assertRight(events, { patience: 4_000 })
    assert.equal(count, 2)
  })

  test('leases without TTL, refusals and failures are recorded', async ({ assert }) => {
    const recorder = new Recorder(history.folder, 'one')
    const factory = new LockFactory(new MemoryStore())
    const locks = [1, 2, 3].map(() => recorder.watch(factory.createLock('k', null), 'k', null))
    assert.isTrue(await locks[0].acquire())
    assert.isFalse(await locks[1].acquire({ retry: { attempts: 1 } }))
    const aborted = locks[2].acquire({ signal: AbortSignal.timeout(1) })
    await assert.rejects(() => aborted)
    const events = history.read() as LeaseEvent[]
    assert.deepEqual(
      events.map(({ kind, until, ttl, code }) => [kind, ttl, until, code]),
      [
        ['asked', null, undefined, undefined],
        ['granted', undefined, null, undefined],
        ['asked', null, undefined, undefined],
        ['refused', undefined, undefined, undefined],
        ['asked', null, undefined, undefined],
        ['ask-failed', undefined, undefined, 'TimeoutError'],
      ]
    )
  })

  test('processes share a clock, and what a killed one had written stays', async ({ assert }) => {
    const before = now()
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', KILLED],
      { env: { ...process.env, FOLDER: history.folder }, stdio: ['ignore', 'pipe', 'inherit'] }
    )
    const exit = once(child, 'exit')
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await exit
    appendFileSync(join(history.folder, 'killed.jsonl'), '{"kind":"gran')
    const [event, ...more] = history.read()
    assert.deepEqual([event.kind, more], ['died', []])
    assert.isAbove(event.at, before)
    assert.isBelow(event.at, now())
  })
})

/** A program that writes an event and waits for its end. */
const KILLED = `
import { Recorder, now } from '${new URL('./history.ts', import.meta.url).href}'
const recorder = new Recorder(process.env.FOLDER, 'killed')
recorder.write({ kind: 'died', at: now(), process: 'somebody' })
console.log('written')
setInterval(() => {}, 1_000)
`
