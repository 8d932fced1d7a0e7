/**
 * What a member of a fleet is, seen from outside: a process, or a thread where locks are shared by threads only.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

import type { FromMember, MemberOrder, ToMember } from './orders.js'

const PROCESS = fileURLToPath(new URL('./member.ts', import.meta.url))
const THREAD = fileURLToPath(new URL('./thread.mjs', import.meta.url))

/** How a member ends: by itself, or by a signal. A thread that is terminated counts as killed. */
export type Ending = number | NodeJS.Signals | null

/** Who is told what a member says, and how it ends. */
export interface Listener {
  hear(message: FromMember): void
  /** What it would write to its standard error. */
  complain(text: string): void
  end(ending: Ending): void
}

export interface Body {
  say(message: ToMember): void
  /** SIGKILL, or what comes closest. */
  kill(): void
  /** SIGSTOP or SIGCONT. */
  signal(signal: NodeJS.Signals): void
}

export function startProcess(order: MemberOrder, listener: Listener): Body {
  const child = fork(PROCESS, [JSON.stringify(order)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => listener.complain(text))
  child.on('message', (message: FromMember) => listener.hear(message))
  child.on('exit', (code, signal) => listener.end(signal ?? code))
  return {
    // It may just have ended.
    say: (message) => child.connected && child.send(message, () => {}),
    kill: () => child.kill('SIGKILL'),
    signal: (signal) => child.kill(signal),
  }
}

export function startThread(order: MemberOrder, listener: Listener): Body {
  const thread = new Worker(THREAD, { argv: [JSON.stringify(order)], execArgv: [] })
  let isKilled = false
  thread.on('message', (message: FromMember) => listener.hear(message))
  thread.on('error', (error) => listener.complain(String(error.stack ?? error)))
  thread.on('exit', (code) => listener.end(isKilled ? 'SIGKILL' : code))
  return {
    say: (message) => thread.postMessage(message),
    kill() {
      isKilled = true
      void thread.terminate()
    },
    signal() {
      throw new Error('A thread gets no signals')
    },
  }
}
