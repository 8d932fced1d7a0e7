/**
 * What happens to fleets of processes, whatever store they use.
 */
import type { Assert } from '@japa/assert'
import type { Lock } from 'loquet'

import { assertRight } from '../faults/checker.js'
import type { CheckOptions } from '../faults/checker.js'
import { Random, withSeed } from '../faults/random.js'
import { Fleet } from './fleet.js'
import type { FleetOrder } from './fleet.js'

/** Milliseconds that a test may take on a machine that has other things to do. */
export const TIMEOUT = 150_000

/** Errors that a server which comes and goes may lead to. */
export const DOWN = ['E_LOCK_STORAGE_ERROR']

/** What fleets are for: a server, a file. */
interface Ground {
  stop(): Promise<void>
}

/** Runs a test on a ground of its own, with a fleet. */
export async function withFleetOn<G extends Ground>(
  start: () => Promise<G>,
  run: (fleet: Fleet, ground: G, random: Random) => Promise<void>
): Promise<void> {
  await withSeed(async (seed) => {
    const ground = await start()
    const fleet = new Fleet(seed)
    try {
      await run(fleet, ground, new Random(seed))
    } finally {
      await fleet.remove()
      await ground.stop()
    }
  })
}

/** Fails unless nothing of what has happened breaks a rule. */
export function assertHistory(fleet: Fleet, options: Partial<CheckOptions> = {}) {
  return assertRight(fleet.history.read(), { patience: 10_000, ...options })
}

/**
 * Has members count until all are done, and compares what they counted with what they were granted.
 *
 * @param rounds - How many locks all of them ask for
 */
export async function countToTheEnd(
  assert: Assert,
  fleet: Fleet,
  rounds: number,
  options?: Partial<CheckOptions>
): Promise<void> {
  fleet.go()
  await fleet.completed()
  const locks = fleet.members.reduce((sum, { granted }) => sum + granted, 0)
  const skipped = fleet.members.reduce((sum, one) => sum + one.skipped, 0)
  const { granted, failed } = assertHistory(fleet, options)
  assert.equal(granted + failed, rounds)
  assert.equal(granted, locks)
  assert.equal(fleet.counted, locks - skipped)
}

/**
 * Kills members that count, and starts others in their place.
 *
 * @param between - What else happens, after so many kills
 */
export async function killAndReplace(
  assert: Assert,
  fleet: Fleet,
  random: Random,
  {
    orders,
    rounds,
    between,
    ...options
  }: {
    orders: FleetOrder[]
    rounds: number
    /** Whether something else happened instead. */
    between?: (round: number) => Promise<boolean>
  } & Partial<CheckOptions>
): Promise<void> {
  fleet.go()
  await fleet.progress(1)
  for (let round = 1; round <= rounds; round++) {
    if (!(await between?.(round))) {
      await fleet.kill(random.pick(fleet.running))
      fleet.go(await fleet.start(1, orders[round % orders.length]))
    }
    // Somebody, not everybody: a holder's lease outlives it.
    await fleet.progressOfAny()
  }
  await fleet.progress(between ? 2 : 1)
  await fleet.finish()
  const { granted } = assertHistory(fleet, options)
  assert.isAtMost(fleet.counted, granted)
}

/**
 * Kills members while all of them wait, and while they take turns.
 *
 * @param lock - What they wait for
 * @param kills - How many each time
 */
export async function killWaiters(
  assert: Assert,
  fleet: Fleet,
  random: Random,
  { order, members, lock, kills }: { order: FleetOrder; members: number; lock: Lock; kills: number }
): Promise<void> {
  await fleet.start(members, order)
  assert.isTrue(await lock.acquire())
  fleet.go()
  await fleet.waitUntil(() => {
    const asked = fleet.history.read().filter(({ kind }) => kind === 'asked')
    return asked.length === members * order.tasks
  })
  for (let killed = 0; killed < kills; killed++) await fleet.kill(random.pick(fleet.running))
  await lock.release()
  for (let killed = 0; killed < kills; killed++) {
    await fleet.progressOfAny()
    await fleet.kill(random.pick(fleet.running))
  }
  assert.lengthOf(fleet.running, members - 2 * kills)
  await fleet.progress(2 * order.tasks)
  await fleet.finish()
  assertHistory(fleet)
}
