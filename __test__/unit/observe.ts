/**
 * What the tests look at: rejections, durations, other processes.
 */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

import { E_LOCK_NOT_OWNED, errors } from 'loquet'
import type { Assert } from '@japa/assert'
import type { Lock, LossReason } from 'loquet'

export { sleep }

/** What a promise rejects with. Fails if it is fulfilled. */
export async function rejectionOf(promise: Promise<unknown>): Promise<any> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (reason: unknown) => ({ reason })
  )
  if ('reason' in outcome) return outcome.reason
  throw new Error(`expected a rejection, got ${JSON.stringify(outcome.value)}`)
}

/** What a function throws, at once or by its promise. */
export async function errorOf(call: () => unknown): Promise<any> {
  return rejectionOf((async () => call())())
}

/** Fails unless a call ends with `E_LOCK_NOT_OWNED`. */
export async function assertNotOwned(assert: Assert, call: () => unknown): Promise<void> {
  const error = await errorOf(call)
  assert.instanceOf(error, E_LOCK_NOT_OWNED)
  assert.equal(error.code, 'E_LOCK_NOT_OWNED')
}

/** Keeps what a signal is aborted with, and how often it is. */
export function listen(lock: { readonly signal: AbortSignal }): unknown[] {
  const { signal } = lock
  const heard: unknown[] = []
  signal.addEventListener('abort', () => heard.push(signal.reason))
  return heard
}

/** Fails unless a signal was aborted because the lock of the key was lost, and why. */
export function assertLost(assert: Assert, reason: any, key: string, why: LossReason): void {
  assert.instanceOf(reason, errors.E_LOCK_LOST)
  assert.deepEqual([reason.code, reason.key, reason.reason], ['E_LOCK_LOST', key, why])
  assert.include(reason.message, `"${key}"`)
}

/** The milliseconds that a call takes until its promise is settled, by the clock that the contract names. */
export async function millisOf(call: () => Promise<unknown>): Promise<number> {
  const start = Date.now()
  await call()
  return Date.now() - start
}

/** Whether a promise is still pending after everything that was due has been done. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([
    promise.then(
      () => false,
      () => false
    ),
    sleep(15, true),
  ])
}

/** Waits until a condition holds. Japa's timeout ends what never does. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(2)
}

/** Waits until what the lock acquired has expired, in the store too. */
export async function untilExpired(lock: Lock): Promise<void> {
  await until(() => lock.isExpired())
  await until(async () => !(await lock.isLocked()))
}

/**
 * Lets a lock that is held expire, in the store too. If it were acquired for a moment only, a busy machine might not get to
 * hold it.
 */
export async function expire(lock: Lock): Promise<void> {
  await lock.extend(25)
  await untilExpired(lock)
}

/**
 * Tries something that has to be done within some time, on a machine that may be busy with other things for longer: again
 * with four times as much, until it works or the machine can't be the reason.
 *
 * @param millis - What an idle machine needs
 */
export async function withTime<T>(
  millis: number,
  attempt: (millis: number) => Promise<T>
): Promise<T> {
  for (let time = millis; ; time *= 4) {
    try {
      return await attempt(time)
    } catch (error) {
      if (time > 1000) throw error
    }
  }
}

/** The value below which a quarter of the values lies. */
export function lowerQuartile(values: number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 2]
}

export function median(values: number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1]
}

/** How a process ended. */
export interface Ended {
  code: number | null
  signal: string | null
  stdout: string
  stderr: string
}

/**
 * Runs an ES module in a process of its own, in this package, so that it can import what is tested by its name.
 */
export function runModule(
  source: string,
  flags: string[] = [],
  env: Record<string, string> = {}
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, '--input-type=module', '--eval', source], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr })
    })
  })
}
