/*
 * Where the time of a pair on Redis goes. See "Profiling" in README.md.
 */
import { fork, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { childPath } from './harness/child.mjs'
import { linkLoquet } from './harness/link.mjs'
import { nodeBinaries } from './harness/nodes.mjs'
import { serverVersion, startServer } from './harness/redis_server.mjs'

/** @import { Thread } from './children/redis_load.mjs' */

const { values: options } = parseArgs({
  options: {
    contenders: { type: 'string', default: 'loquet,@verrou/core' },
    tasks: { type: 'string', default: '1,100' },
    seconds: { type: 'string', default: '3' },
    node: { type: 'string' },
    lines: { type: 'string', default: '15' },
  },
})
const lines = Number(options.lines)
const node = options.node ?? nodeBinaries().at(-1)?.path ?? process.execPath

if (!serverVersion()) {
  console.error('redis-server is not installed (Debian, Ubuntu: apt-get install redis-server)')
  process.exit(2)
}
linkLoquet()
const server = await startServer()
try {
  for (const tasks of options.tasks.split(',')) {
    for (const contender of options.contenders.split(',')) {
      console.log(`## ${contender}, ${tasks} in flight, ${version()}\n`)
      await threads(contender, tasks)
      await mainThread(contender, tasks)
      await traced('strace', contender, tasks)
      await traced('perf', contender, tasks)
    }
  }
} finally {
  await server.stop()
}

function version() {
  return spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()
}

/**
 * Runs the load, with a tracer attached to it once it is warm.
 *
 * @param {string} contender
 * @param {string} tasks
 * @param {string[]} [flags] - For node
 * @param {(pids: { pid: number, server: number }) => void} [warm]
 * @returns {Promise<{ pairs: number, time: number, own: Thread[], server: Thread[] }>}
 */
async function run(contender, tasks, flags = [], warm = () => {}) {
  await server.clear()
  const child = fork(childPath('redis_load.mjs'), [contender, tasks, options.seconds], {
    execPath: node,
    execArgv: flags,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  child.once('message', (pids) => warm(/** @type {{ pid: number, server: number }} */ (pids)))
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  const status = await new Promise((ended) => child.once('close', ended))
  if (status !== 0) {
    throw new Error(`${contender} with ${tasks} tasks ended with ${status}`)
  }
  return JSON.parse(output)
}

/**
 * CPU and wake-ups of every thread, as the system counts them: always there.
 *
 * @param {string} contender
 * @param {string} tasks
 */
async function threads(contender, tasks) {
  const { time, own, server: served } = await run(contender, tasks)
  console.log(`${time.toFixed(1)} µs a pair. CPU and wake-ups of a pair, by thread:\n`)
  const all = [
    ...own.map((thread) => ({ ...thread, place: 'client' })),
    ...served.map((thread) => ({ ...thread, place: 'server' })),
  ]
  for (const { place, name, cpu, waits } of all.sort((a, b) => b.cpu - a.cpu)) {
    if (cpu >= 0.05) {
      const figures = `${cpu.toFixed(2).padStart(8)} µs ${waits.toFixed(3).padStart(8)}`
      console.log(`${figures}  ${place} ${name}`)
    }
  }
  console.log()
}

/**
 * The functions of the main thread by their own time.
 *
 * @param {string} contender
 * @param {string} tasks
 */
async function mainThread(contender, tasks) {
  const folder = mkdtempSync(join(tmpdir(), 'loquet-bench-profile-'))
  const flags = ['--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=250']
  await run(contender, tasks, flags)
  const [file] = readdirSync(folder)
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(folder, file), 'utf8'))
  rmSync(folder, { recursive: true })

  /** @type {Map<number, string>} */
  const names = new Map()
  for (const { id, callFrame } of nodes) {
    const place = callFrame.url.split('/').slice(-2).join('/')
    names.set(id, `${callFrame.functionName || '(anonymous)'} ${place}:${callFrame.lineNumber + 1}`)
  }
  /** @type {Map<string, number>} */
  const times = new Map()
  let all = 0
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? ''
    times.set(name, (times.get(name) ?? 0) + timeDeltas[index])
    all += timeDeltas[index]
  }
  console.log(`Main thread, own time of functions (all of the run, --cpu-prof):\n`)
  for (const [name, time] of [...times].sort(([, a], [, b]) => b - a).slice(0, lines)) {
    console.log(`${((100 * time) / all).toFixed(1).padStart(8)} %  ${name}`)
  }
  console.log()
}

/**
 * System calls by strace, or functions of all threads by perf, if they are installed and allowed.
 *
 * @param {'strace' | 'perf'} tool
 * @param {string} contender
 * @param {string} tasks
 */
async function traced(tool, contender, tasks) {
  const folder = mkdtempSync(join(tmpdir(), 'loquet-bench-trace-'))
  const file = join(folder, 'trace')
  const commands = {
    strace: ['strace', '-f', '-c', '-U', 'calls,name', '-S', 'calls', '-o', file, '-p'],
    perf: ['perf', 'record', '-q', '-F', '4000', '-o', file, '-p'],
  }
  const [program, ...args] = commands[tool]
  if (spawnSync(program, ['--version']).status !== 0) {
    console.log(`${program} is not installed: left out\n`)
    return
  }
  let problem = ''
  /** @type {Promise<unknown> | undefined} */
  let ended
  const { pairs } = await run(contender, tasks, [], ({ pid }) => {
    const tracer = spawn(program, [...args, String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
    tracer.stderr.setEncoding('utf8').on('data', (text) => {
      problem += text
    })
    ended = new Promise((over) => tracer.once('close', over))
  })
  await ended
  const report =
    tool === 'strace'
      ? readReport(file)
      : spawnSync(
          'perf',
          ['report', '-i', file, '--stdio', '--no-children', '--sort', 'comm,dso,symbol'],
          { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }
        )
          .stdout.split('\n')
          .filter((line) => /^\s+\d/.test(line))
  rmSync(folder, { recursive: true })
  if (report.length === 0) {
    console.log(`${program} has seen nothing: ${problem.trim()}\n`)
    return
  }
  console.log(`${program}, over about ${pairs} pairs:\n`)
  console.log(`${report.slice(0, lines).join('\n')}\n`)
}

/** @param {string} file */
function readReport(file) {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => /^\s+\d/.test(line))
  } catch {
    return []
  }
}
