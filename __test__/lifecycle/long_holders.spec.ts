/**
 * Processes and threads that hold a lock for long: their event loop is blocked, they are suspended, they end. On each kind of
 * native store, at the same time.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { test } from '@japa/runner'

import { runProgram } from './processes.js'
import {
  everywhere,
  startCompetitor,
  startHolder,
  startPlaces,
  TooBusy,
  untilRefused,
  withLease,
} from './long_places.js'
import type { LongPlace } from './long_places.js'

/** For how many seconds an event loop is blocked. */
const BLOCKED = Number(process.env.LOQUET_BLOCK_SECONDS ?? 30) * 1000

/** Far more than a grant takes once the lock is free, on a busy machine. */
const SLACK = 10_000

test.group('Long holders', (group) => {
  let places: LongPlace[]
  let folder: string
  group.setup(async () => {
    places = await startPlaces()
    folder = mkdtempSync(join(tmpdir(), 'loquet-holders-'))
  })
  group.teardown(async () => {
    await Promise.all(places.map((place) => place.stop()))
    rmSync(folder, { recursive: true, force: true })
  })

  test('C25: while an event loop is blocked for several TTLs, nobody else gets the lock', async ({
    assert,
    test: current,
  }) => {
    await everywhere(places, ({ title, options }) =>
      withLease(2000, async (ttl, round) => {
        const key = `blocked ${round}`
        const limit = Math.max(BLOCKED, ttl * 3)
        const holding = { ttl, way: 'blocked for', limit } as const
        const holder = startHolder(current, options, key, holding)
        const { at: blockedAt } = await holder.heard('granted')
        const competitor = startCompetitor(current, options, key, 'tries')

        const back = await holder.heard('back')
        if (!back.isHeld) throw new TooBusy(`lost within ${back.at - blockedAt} ms`)
        assert.isAtLeast(back.at - blockedAt, limit - 1)
        const releasing = await holder.heard('releasing')
        assert.isFalse(releasing.isLost)
        const granted = await competitor.heard('granted')
        assert.isAbove(granted.at, releasing.at, 'somebody else got it before it was released')
        const { refused } = granted as unknown as { refused: number[] }
        const late = refused.filter((at) => at > blockedAt + ttl && at < back.at)
        if (late.length === 0) throw new TooBusy('nobody has tried after the TTL')
        await Promise.all([holder.ended(), competitor.ended()])
        if (process.env.LOQUET_BLOCK_SECONDS !== undefined) {
          const seconds = ((back.at - blockedAt) / 1000).toFixed(1)
          console.log(`${title}: blocked for ${seconds} s, ${late.length} refused after ${ttl} ms`)
        }
      })
    )
  }).timeout(200_000)

  test('C25: … blocked for longer than `stall`, the lease ends, and the holder hears of it when the loop turns again', async ({
    assert,
    test: current,
  }) => {
    const stall = 1000
    await everywhere(places, ({ options }) =>
      withLease(1500, async (ttl, round) => {
        const key = `stalled ${round}`
        const way = 'blocked until told'
        const holder = startHolder(current, options, key, {
          ...{ ttl, way, autoExtend: { stall } },
          limit: stall / 2,
        })
        await holder.heard('granted')
        const competitor = startCompetitor(current, options, key, 'waits')
        const blocking = await holder.heard('blocking')
        const granted = await competitor.heard('granted')
        holder.tell()

        const back = await holder.heard('back')
        assert.isFalse(back.isHeld)
        assert.isBelow(back.heldAt, granted.at)
        const { code, reason, isHeld } = await holder.heard('lost')
        assert.deepEqual([code, isHeld], ['E_LOCK_LOST', false])
        if (reason !== 'stalled') throw new TooBusy(reason)
        assert.isAbove(granted.at - blocking.at, stall)
        await Promise.all([holder.ended(), competitor.ended()])
      })
    )
  }).timeout(120_000)

  test('C26: … suspended beyond the end of its lease, isHeld() is false in the first line after', async ({
    assert,
    test: current,
  }) => {
    await everywhere(places, ({ title, options }) =>
      withLease(1500, async (ttl, round) => {
        const key = `suspended ${round}`
        const limit = join(folder, `${title} ${round}`)
        const holder = startHolder(current, options, key, { ttl, way: 'looking until', limit })
        await holder.heard('granted')
        const competitor = startCompetitor(current, options, key, 'waits')
        await untilRefused(competitor)
        holder.send('SIGSTOP')
        const granted = await competitor.heard('granted')
        assert.isFalse(existsSync(limit))
        writeFileSync(limit, '')
        holder.send('SIGCONT')

        const back = await holder.heard('back')
        assert.isFalse(back.isHeld)
        assert.isAbove(back.heldAt, 0)
        assert.isBelow(back.heldAt, granted.at, 'held by two')
        const { code, isHeld } = await holder.heard('lost')
        assert.deepEqual([code, isHeld], ['E_LOCK_LOST', false])
        await Promise.all([holder.ended(), competitor.ended()])
      })
    )
  }).timeout(120_000)

  for (const end of ['terminated', 'blocked', 'exit']) {
    const how = end === 'blocked' ? 'terminated while it is blocked' : end
    test(`C23, C25: the lease of a thread that ends is not extended any longer: ${how}`, async ({
      assert,
    }) => {
      const ttl = 1500
      await everywhere(places, async ({ options }) => {
        // Over connections that the main thread has too, and over some that go with the thread.
        const both = [true, false].map(async (shares) => {
          const args = [options, `${end} ${shares}`, String(ttl), end, String(shares)]
          const { stdout, ...ending } = await runProgram('server/keep_in_worker.mjs', { args })
          assert.deepInclude(ending, { code: 0, signal: null, stderr: '' })
          assert.isBelow(JSON.parse(stdout).waited, ttl + SLACK)
        })
        await Promise.all(both)
      })
    }).timeout(90_000)
  }
})
