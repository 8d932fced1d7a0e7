import { spawnSync } from 'node:child_process'
import { median } from 'd3-array'
import { Redis } from 'ioredis'
import { lockers, openLocker } from '../harness/redis_contenders.mjs'
import { host, serverPort } from '../harness/redis_server.mjs'

/** @import { Contender, Group, Target, View } from '../harness/types.mjs' */
/** @import { Locker } from '../harness/locker.mjs' */

const tasks = 100

/**
 * Microseconds a pair, each kind on its own.
 *
 * @typedef {object} Costs
 * @property {number} time - Of the wall clock
 * @property {number} [mainThread] - Of the main thread's CPU
 * @property {number} [process] - Of the CPU of all threads of the process
 * @property {number} [server] - Of the server's CPU
 */

/**
 * @param {number} pairs - That the work consists of
 * @param {() => Promise<unknown>} work
 * @returns {Promise<Costs>}
 */
async function measureCosts(pairs, work) {
  const serverBefore = await serverCpu()
  const processBefore = process.cpuUsage()
  // Node 20 doesn't have it
  const threadBefore = process.threadCpuUsage?.()
  const start = performance.now()
  await work()
  const time = performance.now() - start
  const thread = threadBefore && process.threadCpuUsage(threadBefore)
  const own = process.cpuUsage(processBefore)
  const server = (await serverCpu()) - serverBefore
  return {
    time: (time * 1_000) / pairs,
    mainThread: thread && (thread.user + thread.system) / pairs,
    process: (own.user + own.system) / pairs,
    server: server / pairs,
  }
}

/** @type {Redis | undefined} */
let connection

/** Not before there is a server: this module is also loaded where nothing is measured. */
function control() {
  connection ??= new Redis({ host, port: serverPort() })
  return connection
}

/**
 * Microseconds of the server's main thread, which does all the work.
 */
async function serverCpu() {
  const facts = await control().info('cpu')
  return ['user', 'sys']
    .map((kind) => Number(new RegExp(`used_cpu_${kind}_main_thread:(\\S+)`).exec(facts)?.[1]) * 1e6)
    .reduce((sum, one) => sum + one)
}

/** @param {Locker} locker */
export function oneByOne(locker) {
  let next = 0
  /** @param {number} pairs */
  const batch = async (pairs) => {
    for (let pair = 0; pair < pairs; pair++) {
      await locker.pair(`orders.${next++}`)
    }
  }
  return { warmUp: () => batch(2_000), measure: () => measureCosts(250, () => batch(250)) }
}

/** @param {Locker} locker */
export function inFlight(locker) {
  /** @param {number} pairs */
  const batch = (pairs) =>
    Promise.all(
      Array.from({ length: tasks }, async (_, index) => {
        const key = `orders.${index}`
        for (let pair = 0; pair < pairs; pair++) {
          await locker.pair(key)
        }
      })
    )
  return {
    warmUp: () => batch(200),
    measure: () => measureCosts(100 * tasks, () => batch(100)),
  }
}

/**
 * @param {string} name
 * @param {(locker: Locker) => { warmUp: () => Promise<unknown>, measure: () => Promise<Costs> }} way
 * @returns {Contender}
 */
export function contender(name, way) {
  return {
    name,
    package: name.split(',')[0],
    open: async () => {
      const { warmUp, measure } = way(await openLocker(name))
      await warmUp()
      return measure
    },
  }
}

const owner = 'k3v9x2m7q1w8e5r4t6y0u'
const release =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"
/** redis-benchmark makes random numbers of twelve digits. */
const fill =
  "for index = 0, ARGV[2] - 1 do redis.call('SET', string.format('held:%012d', index), ARGV[1]) end"

/**
 * What the server and its own benchmark need for the two commands of a pair: a SET of a new key and a
 * compare-and-delete, by script, of one that is there.
 *
 * @param {string} name
 * @param {string[]} flags
 * @param {number} requests
 * @returns {Contender}
 */
function floor(name, flags, requests) {
  return {
    name,
    package: 'redis-benchmark',
    open: async () => async () => {
      const port = serverPort()
      const digest = String(await control().script('LOAD', release))
      /**
       * @param {string[]} settings
       * @param {string[]} command
       */
      const perSecond = (settings, command) => {
        const common = ['-h', host, '-p', `${port}`, '--csv']
        const { stdout } = spawnSync('redis-benchmark', [...common, ...settings, ...command], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        return Number(stdout.trim().split('\n').at(-1)?.split('","')[1])
      }
      /** @param {string} key */
      const set = (key) => ['SET', key, owner, 'NX', 'PX', '60000']
      const size = ['-n', `${requests}`, ...flags]

      // Random keys are all that it has: of so many almost all are new, and almost all are still there
      // when their turn comes
      const held = 10 * requests
      const acquired = perSecond([...size, '-r', '1000000'], set('new:__rand_int__'))
      await control().flushall()
      await control().eval(fill, 0, owner, held)
      const released = perSecond(
        [...size, '-r', `${held}`],
        ['EVALSHA', digest, '1', 'held:__rand_int__', owner]
      )
      await control().flushall()
      return { time: 1e6 / acquired + 1e6 / released }
    },
  }
}

const noThreadCpu = 'process.threadCpuUsage() comes with Node 23.9'

/**
 * @param {string} name
 * @param {string} title
 * @param {Record<'time' | 'mainThread', Target[]>} targets
 * @returns {View[]}
 */
export function views(name, title, targets) {
  return [
    {
      name,
      title,
      unit: 'µs',
      of: 'time',
      plot: true,
      rate: { unit: 'pairs/s', each: 1e6 },
      targets: targets.time,
    },
    {
      name: `${name}/main-thread`,
      title: `${title}: CPU of the main thread`,
      unit: 'µs',
      of: 'mainThread',
      plot: true,
      lacking: noThreadCpu,
      targets: targets.mainThread,
    },
    {
      name: `${name}/process`,
      title: `${title}: CPU of the whole process`,
      unit: 'µs',
      of: 'process',
      targets: [],
    },
    {
      name: `${name}/server`,
      title: `${title}: CPU of the server`,
      unit: 'µs',
      of: 'server',
      targets: [],
    },
  ]
}

/** @type {Group[]} */
export const groups = [
  {
    name: 'redis-pair/one-by-one',
    slices: 12,
    views: views('redis-pair/one-by-one', 'a pair, one after another, changing keys', {
      time: [{ against: '@verrou/core', atMostShare: 0.65 }],
      mainThread: [],
    }),
    contenders: [
      ...lockers.map((name) => contender(name, oneByOne)),
      floor('redis-benchmark -c 1', ['-c', '1'], 500),
    ],
  },
  {
    name: 'redis-pair/in-flight',
    slices: 8,
    views: views('redis-pair/in-flight', 'a pair, 100 in flight', {
      time: [{ against: '@verrou/core', atLeast: 1.8 }],
      mainThread: [{ against: '@verrou/core', atMostShare: 0.3 }],
    }),
    contenders: [
      ...lockers.map((name) => contender(name, inFlight)),
      floor('redis-benchmark -c 100', ['-c', '100'], 5_000),
      floor('redis-benchmark -c 1 -P 100', ['-c', '1', '-P', '100'], 10_000),
    ],
  },
]
