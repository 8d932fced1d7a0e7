/**
 * What is published on the channels while a test runs.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel'
import type { TestContext } from '@japa/runner/core'
import type { LockMessage } from 'loquet/types'

const OPERATIONS = ['acquire', 'hold', 'extend', 'release'] as const
const MOMENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const

export type Operation = (typeof OPERATIONS)[number]

/** A message, and the channel it came by: `acquire start`, say, or `lost`. */
export interface Published {
  name: string
  message: any
}

/**
 * Keeps what is published about keys that begin with `prefix`, until the test ends.
 */
export function record(
  test: TestContext['test'],
  prefix = '',
  operations: readonly Operation[] = OPERATIONS
): Published[] {
  const published: Published[] = []
  const keep = (name: string) => (message: unknown) => {
    if ((message as LockMessage).key.startsWith(prefix)) published.push({ name, message })
  }
  for (const operation of operations) {
    const tracing = tracingChannel(`loquet:${operation}`)
    const handlers = Object.fromEntries(
      MOMENTS.map((moment) => [moment, keep(`${operation} ${moment}`)])
    )
    tracing.subscribe(handlers as never)
    test.cleanup(() => void tracing.unsubscribe(handlers as never))
  }
  const lost = keep('lost')
  channel('loquet:lost').subscribe(lost)
  test.cleanup(() => void channel('loquet:lost').unsubscribe(lost))
  return published
}

/** The names in their order. */
export function namesOf(published: Published[], ...operations: string[]): string[] {
  return published
    .map(({ name }) => name)
    .filter((name) => operations.length === 0 || operations.includes(name.split(' ')[0]))
}

/** The last message of an operation. */
export function lastOf(published: Published[], name: string): any {
  return published.findLast((each) => each.name === name)?.message
}
