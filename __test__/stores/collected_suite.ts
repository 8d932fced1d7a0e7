/**
 * Runs a suite of store tests outside of Japa: all of its tests at once, since each has a store or a key of its own.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import type { Assert } from '@japa/assert'
import type { test as japaTest } from '@japa/runner'

/** Milliseconds that something in the suites waits at most. */
const LONGEST_WAIT = 6000

interface Check {
  title: string
  run: () => Promise<unknown>
  /** The message of the error that it is to end with. */
  throws?: string
}

/**
 * Runs what `register` registers.
 *
 * @param options - `wanted`: which tests to run, by title; `times`: how often a test may be run until it passes
 * @returns How many there were, and the failures by title
 */
export async function runCollected(
  assert: Assert,
  register: (test: typeof japaTest) => void,
  { wanted = /./, times = 1 } = {}
): Promise<{ count: number; failures: Record<string, string> }> {
  const checks: Check[] = []
  const collect = (title: string, run: (context: { assert: Assert }) => Promise<unknown>) => {
    const check: Check = { title, run: async () => run({ assert }) }
    if (wanted.test(title)) checks.push(check)
    return {
      timeout: () => {},
      // The error class of another package can't be ours, so the message has to do.
      throws: (message: string) => {
        check.throws = message
      },
    }
  }
  collect.group = (_: string, define: (group: object) => void) => define({})
  register(collect as never)

  const failures: Record<string, string> = {}
  let hasFailed = false
  const runs = checks.map(async ({ title, run, throws }) => {
    for (let time = 0; time < times; time++) {
      const error = await run().then(
        () => undefined,
        (reason: unknown) => reason as Error
      )
      if (error?.message === throws) {
        delete failures[title]
        return
      }
      failures[title] = String(error ?? 'it did not throw')
      hasFailed = true
    }
  })
  await Promise.all(runs)
  // What a failed try has left waiting is not to be waiting any longer when its store goes.
  if (hasFailed && times > 1) await sleep(LONGEST_WAIT)
  return { count: checks.length, failures }
}
