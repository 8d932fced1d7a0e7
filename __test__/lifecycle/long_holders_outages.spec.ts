/**
 * Processes that hold a lock for long, and what becomes of them when the server is gone, or the connection. On each kind of
 * server, at the same time.
 */
import { test } from '@japa/runner'
import type { TestContext } from '@japa/runner/core'

import { now } from '../faults/history.js'
import { median, sleep } from '../unit/observe.js'
import {
  everywhere,
  serversOf,
  start,
  startCompetitor,
  startHolder,
  startPlaces,
  startProxy,
  TooBusy,
  untilRefused,
  withLease,
} from './long_places.js'
import type { LongPlace } from './long_places.js'
import type { Said, TalkingProgram } from './talking_programs.js'

type Context = Pick<TestContext, 'assert' | 'test'>

/** By how many milliseconds the end of a lease is noticed late on an idle machine, at most. */
const LATE = 50

/** Leases that end one after another. */
const TTLS = Array.from({ length: 8 }, (_, index) => 1500 + 40 * index)

test.group('Long holders | outages', (group) => {
  let places: LongPlace[]
  group.setup(async () => {
    places = serversOf(await startPlaces())
  })
  group.teardown(async () => {
    await Promise.all(places.map((place) => place.stop()))
  })

  /**
   * What the holder of many locks says of their ends after the server is gone.
   *
   * @param gone - Resolves when nothing more reaches the server
   * @throws TooBusy if one of them ended before
   */
  async function endsOf(holder: TalkingProgram, { assert }: Context, gone: () => Promise<void>) {
    await holder.heard('granted')
    // They have been extended several times.
    await sleep(TTLS[0])
    await gone()
    const goneAt = now()
    await holder.heard('done')
    const ends = holder.said.filter(({ what }) => what === 'lost')
    assert.lengthOf(ends, TTLS.length)
    if (ends.some(({ at }) => at < goneAt)) throw new TooBusy('lost too early')
    for (const { at, code, reason, ttl, heldAt, end, isHeld } of ends) {
      assert.deepEqual([code, reason, isHeld], ['E_LOCK_LOST', 'unreachable', false])
      assert.isBelow(heldAt, end[1], 'held beyond what it believed itself')
      assert.isBelow(heldAt, goneAt + ttl, 'held beyond what the server has ever granted')
      assert.isAtLeast(at, end[0], 'lost before its end')
    }
    await holder.ended()
    return ends
  }

  /** Fails unless holders were told of the ends in time. Those who were late may have been kept waiting. */
  async function assertInTime(
    { assert }: Context,
    measure: (round: number) => Promise<Said[]>
  ): Promise<void> {
    let typical = Number.POSITIVE_INFINITY
    for (let round = 1; round <= 8 && typical > LATE; round++) {
      try {
        const ends = await measure(round)
        typical = median(ends.map(({ at, end }) => at - end[0]))
      } catch (error) {
        if (!(error instanceof TooBusy)) throw error
      }
    }
    assert.isAtMost(typical, LATE)
  }

  test('C26: once nothing is heard of the server, the signal is aborted at the end of the lease, and nobody holds beyond it', async (context) => {
    await everywhere(places, (place) =>
      assertInTime(context, async (round) => {
        const { assert, test: current } = context
        const proxy = await startProxy(current, place)
        const key = `cut off ${round}`
        const args = [place.through(proxy), key, JSON.stringify(TTLS)]
        const holder = start(current, 'watch', args)
        await holder.heard('granted')
        const competitor = startCompetitor(current, place.options, `${key} 3`, 'tries')
        await competitor.heard(['refused', 'granted'])
        const ends = await endsOf(holder, context, async () => proxy.silence())
        const granted = await competitor.heard('granted')
        const { heldAt } = ends.find(({ index }) => index === 3)!
        assert.isBelow(heldAt, granted.at, 'held by two')
        return ends
      })
    )
  }).timeout(140_000)

  test('C25: a connection that is lost and made again within the rest of the lease costs nothing', async ({
    assert,
    test: current,
  }) => {
    await everywhere(places, async (place) => {
      const proxy = await startProxy(current, place)
      await withLease(3000, async (ttl, round) => {
        const key = `cut ${round}`
        const options = place.through(proxy)
        const holder = startHolder(current, options, key, { ttl, way: 'watching until told' })
        await holder.heard('granted')
        const competitor = startCompetitor(current, place.options, key, 'tries')
        await untilRefused(competitor)
        for (const way of ['cut', 'refused', 'silent']) {
          if (way === 'refused') proxy.refuse(ttl / 10)
          if (way === 'silent') {
            proxy.silence()
            await sleep(ttl / 10)
            proxy.calm()
          } else proxy.cutAll()
          const cutAt = now()
          const extended = await holder.heard(
            ['extended', 'lost'],
            ({ what, end }) => what === 'lost' || end > cutAt + ttl
          )
          if (extended.what === 'lost') throw new TooBusy(`${way}: ${extended.reason}`)
        }
        holder.tell()
        const releasing = await holder.heard(['releasing', 'lost'])
        if (releasing.what === 'lost') throw new TooBusy(releasing.reason)
        const granted = await competitor.heard('granted')
        assert.isAbove(granted.at, releasing.at, 'somebody else got it before it was released')
        await Promise.all([holder.ended(), competitor.ended()])
      })
      assert.isAtLeast(proxy.statistics.connections, 4)
    })
  }).timeout(140_000)

  test('C26: … the same once the server is killed', async (context) => {
    await everywhere(places, (place) =>
      assertInTime(context, async (round) => {
        const { test: current } = context
        const args = [place.options, `killed ${round}`, JSON.stringify(TTLS)]
        const ends = await endsOf(start(current, 'watch', args), context, () => place.kill!())
        await place.restart!()
        return ends
      })
    )
  }).timeout(140_000)
})
