/**
 * A fleet that writes under fenced locks while its members are killed, and its server too.
 */
import type { Assert } from '@japa/assert'

import { now } from '../../faults/history.js'
import type { Random } from '../../faults/random.js'
import type { Fleet, FleetOrder } from '../fleet.js'
import { checkTokens } from './check.js'
import type { CheckedTokens, TokenEvent } from './check.js'

/** How many locks have to be acquired before a storm ends, if somebody has said so. */
const GIVEN = process.env.LOQUET_ACQUISITIONS

/** How many have to be otherwise. */
const FEW = 2_000

/** Milliseconds that a storm may take on a machine that has other things to do. */
export const STORM_TIMEOUT = 140_000 + Number(GIVEN ?? 0) * 50

const MEMBERS = 3

/** Kills, at least, and one more for so many acquisitions. */
const KILLS = 2
const ACQUISITIONS_PER_KILL = 5_000

/** How many keys there are: with many, a lease that runs out keeps few tasks waiting. */
export const KEYS = Array.from({ length: 64 }, (_, place) => `report.${place}`)

export interface TokenStormOptions {
  order: Omit<FleetOrder, 'peer' | 'keys' | 'ttl' | 'tasks' | 'work'> &
    Partial<Pick<FleetOrder, 'keys' | 'tasks' | 'work'>>
  /** How many locks have to be acquired, if nobody has said so: fewer where the store is slow. */
  few?: number
  /** Restarts the server; it is done once for two kills. */
  restart?: () => Promise<void>
  /** Whether the server then knows nothing of what was before. */
  forgets?: boolean
  /** Codes of errors that calls may end with. By default none. */
  errors?: readonly string[]
}

/**
 * @throws Error if the tokens were wrong
 */
export async function tokenStorm(
  assert: Assert,
  fleet: Fleet,
  random: Random,
  { order, few = FEW, restart, forgets = false, errors = [] }: TokenStormOptions
): Promise<CheckedTokens> {
  const startedAt = now()
  const goal = Number(GIVEN ?? few)
  const whole: FleetOrder = {
    ...{ peer: 'loquet', keys: KEYS, tasks: 32, work: { kind: 'write' } },
    ...order,
    // Short, since whoever is killed keeps others waiting for as long.
    ttl: 1_000,
  }
  const kills = KILLS + Math.floor(goal / ACQUISITIONS_PER_KILL)
  await fleet.start(MEMBERS, whole)
  fleet.go()
  for (let killed = 0; killed < kills; killed++) {
    await fleet.waitUntil(() => fleet.granted >= (goal * (killed + 1)) / (kills + 1))
    await fleet.kill(random.pick(fleet.running))
    if (restart !== undefined && killed % 2 === 0) {
      const from = now()
      await restart()
      if (forgets) fleet.recorder.write({ kind: 'forgot', from, at: now() })
    }
    fleet.go(await fleet.start(1, whole))
  }
  await fleet.waitUntil(() => fleet.granted >= goal)
  // The last one to be started counts as well.
  await fleet.progress(1)
  await fleet.finish()
  const seconds = (now() - startedAt) / 1000

  const checked = assertTokens(fleet.history.read<TokenEvent>(), { errors })
  const { expiries, forced, robbed, accepted, denied, overdue } = checked
  assert.isAtLeast(checked.acquisitions, goal)
  assert.equal(checked.kills, kills)
  // Nothing has been shown by a storm in which nothing has happened.
  const counts = { expiries, forced, robbed, accepted, denied, overdue }
  for (const [name, count] of Object.entries(counts)) assert.isAbove(count, 0, name)
  if (GIVEN !== undefined) tell({ ...checked, seconds })
  return checked
}

function assertTokens(
  history: readonly TokenEvent[],
  options: { errors: readonly string[] }
): CheckedTokens {
  const checked = checkTokens(history, options)
  const { violations } = checked
  if (violations.length === 0) return checked
  const shown = violations.slice(0, 8).map(({ rule, message }) => `- ${rule}: ${message}`)
  throw new Error(`the tokens are wrong (${violations.length})\n${shown.join('\n')}`)
}

/** Prints what there was. */
function tell({ violations, errors, seconds, ...counts }: CheckedTokens & { seconds: number }) {
  const figures = { ...counts, ...errors, seconds: Math.round(seconds) }
  console.log(
    Object.entries(figures)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')
  )
}
