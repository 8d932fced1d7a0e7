/**
 * Tasks that lock through connections that keep breaking, and what is to be said of it afterwards.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { assertRight } from './checker.js'
import type { CheckedHistory } from './checker.js'
import { History, Recorder, now } from './history.js'
import type { RecordableLock, RecordedLock } from './history.js'
import type { FaultPlan } from './plan.js'
import { FaultProxy } from './proxy.js'
import type { Target } from './proxy.js'
import { Random } from './random.js'

/** A kind of locks, with keys of its own. */
interface Kind {
  name: string
  ttl: number | null
  /** Milliseconds for which a lock is held. */
  hold: readonly [from: number, to: number]
}

const KINDS: readonly Kind[] = [
  // Long enough that a wait for a lease that nobody knows of is told from everything else.
  { name: 'long', ttl: 30_000, hold: [0, 3] },
  // Whoever waits for such a lease waits for ever.
  { name: 'endless', ttl: null, hold: [0, 3] },
  // Often over before it is released.
  { name: 'short', ttl: 150, hold: [0, 200] },
]

/** A lock that is in a server. */
export interface FoundLease {
  key: string
  owner?: string
}

export interface StormOptions {
  seed: number
  /** What the proxies stand before. */
  server: Target
  /** What an administrator may do to it while it is used: something of it, by chance. */
  disturb(random: Random): Promise<unknown>
  /** The locks that are in it, without regard to the proxies. */
  leases(): Promise<FoundLease[]>
  /** Opens a store behind a proxy. */
  open(proxy: FaultProxy): { createLock(name: string, ttl: number | null): RecordableLock }
  /** How many stores there are, each with a proxy of its own: their connections break independently. */
  stores: number
  /** How many tasks each store has. */
  tasks: number
  /** How many keys there are of each kind. */
  keys: number
  plan: Partial<FaultPlan>
  /** When it is enough. */
  isOver(proxies: FaultProxy[]): boolean
  /** Whether acquires can be ended by a signal. */
  aborts: boolean
  /** Milliseconds that an acquire may wait while nobody has the key. */
  patience: number
  /** Milliseconds after the end in which what was left behind has to go. */
  grace: number
  errors: readonly string[]
}

export interface StormResult extends CheckedHistory {
  cuts: number
  faults: Record<string, number>
  connections: number
}

/**
 * @throws Error if the history is wrong
 */
export async function storm(options: StormOptions): Promise<StormResult> {
  const { seed, server, plan } = options
  const history = new History()
  const recorder = new Recorder(history.folder, 'storm')
  const proxies: FaultProxy[] = []
  try {
    for (let place = 0; place < options.stores; place++) {
      proxies.push(await FaultProxy.start(server, seed + place))
    }
    for (const proxy of proxies) proxy.rage(plan)
    let isOver = false
    let isGone = false
    const tasks = proxies.flatMap((proxy, place) => {
      const factory = options.open(proxy)
      return Array.from({ length: options.tasks }, async (_, task) => {
        const random = new Random(seed, 1 + place * options.tasks + task)
        while (!isOver) await takeTurn(options, factory, recorder, random, () => isGone)
      })
    })
    const all = Promise.all(tasks)
    const mischief = beMischievous(options, new Random(seed), () => isOver)
    // Awaited later.
    mischief.catch(() => {})
    while (!options.isOver(proxies)) await Promise.race([sleep(50), all])
    isOver = true
    for (const proxy of proxies) proxy.calm()
    await Promise.race([all, sleep(options.patience + options.grace)])
    await mischief
    await recordRemains(options, recorder)
    isGone = true
    const sum = sumOf(proxies)
    try {
      return { ...assertRight(history.read(), options), ...sum }
    } catch (error) {
      if (error instanceof Error) error.message += `\nin a storm of ${JSON.stringify(sum)}`
      throw error
    }
  } finally {
    for (const proxy of proxies) await proxy.stop()
    recorder.close()
    history.remove()
  }
}

async function beMischievous(
  { disturb }: StormOptions,
  random: Random,
  isOver: () => boolean
): Promise<void> {
  while (!isOver()) {
    await sleep(random.integer(50, 400))
    await disturb(random)
  }
}

async function takeTurn(
  { keys, aborts }: StormOptions,
  factory: ReturnType<StormOptions['open']>,
  recorder: Recorder,
  random: Random,
  isGone: () => boolean
): Promise<void> {
  const { name, ttl, hold } = random.pick(KINDS)
  const key = `${name}:${random.integer(1, keys)}`
  const lock = recorder.watch(factory.createLock(key, ttl), key, ttl)
  try {
    if (!(await lock.acquire(acquireOptions(random, aborts)))) return
    await sleep(random.integer(...hold))
    if (ttl !== null && random.chance(0.1)) {
      await lock.extend(ttl)
      await sleep(random.integer(...hold))
    }
  } catch {
    // The history has it.
  }
  // Nothing may be released that was never acquired; but what is doubtful may be.
  if (lock.isHeld) await giveBack(lock, isGone)
  else await sleep(random.integer(1, 20))
}

function acquireOptions(random: Random, aborts: boolean): object {
  const kind = random.fraction()
  if (kind < 0.15) return { retry: { timeout: random.integer(1, 300) } }
  if (kind < 0.3) return { retry: { attempts: random.integer(1, 3), delay: 20 } }
  if (kind < 0.4 && aborts) return { signal: AbortSignal.timeout(random.integer(1, 200)) }
  return { retry: { delay: 50 } }
}

/** Releases, and tries again for as long as it is doubtful and there is a server. */
async function giveBack(lock: RecordedLock, isGone: () => boolean): Promise<void> {
  while (!isGone()) {
    try {
      return await lock.release()
    } catch (error) {
      if ((error as { code?: string }).code === 'E_LOCK_NOT_OWNED') return
      await sleep(20)
    }
  }
}

/** Waits until the server has no leases, and records those that don't go. */
async function recordRemains({ leases, grace }: StormOptions, recorder: Recorder): Promise<void> {
  const deadline = now() + grace
  for (;;) {
    const found = await leases()
    if (found.length === 0) return
    if (now() > deadline) {
      for (const lease of found) recorder.write({ kind: 'found', at: now(), ...lease })
      return
    }
    await sleep(50)
  }
}

function sumOf(proxies: FaultProxy[]) {
  const faults: Record<string, number> = {}
  for (const { statistics } of proxies) {
    for (const [fault, count] of Object.entries(statistics.faults)) {
      faults[fault] = (faults[fault] ?? 0) + count
    }
  }
  return {
    faults,
    cuts: proxies.reduce((sum, { cuts }) => sum + cuts, 0),
    connections: proxies.reduce((sum, { statistics }) => sum + statistics.connections, 0),
  }
}
