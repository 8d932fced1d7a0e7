/**
 * Ends a run that has come to a standstill, and says where. Japa's timeouts are for what tests do, not for their hooks; and
 * what has broken for one test may keep many others waiting.
 */
import type { PluginFn } from '@japa/runner/types'

/** What the events of a run tell of a test or a group. */
interface Told {
  title: string | { expanded: string }
}

export interface WatchdogOptions {
  /** Milliseconds in which a test or a group has to begin or to end. */
  patience: number
  /** How many tests may take longer than they may, one after another. */
  mostTimeouts: number
}

/** What Japa says of a test that has taken too long. */
const TIMED_OUT = 'Test timeout'

/**
 * Exits with 1 if nothing begins or ends any more, or if one test after another takes too long.
 */
export function watchdog({ patience, mostTimeouts }: WatchdogOptions): PluginFn {
  return ({ emitter }) => {
    let lastAt = performance.now()
    let last = 'the run has begun'
    let timeouts = 0
    /** Japa would tell them at the end. */
    const failures: string[] = []
    const titleOf = ({ title }: Told) => (typeof title === 'string' ? title : title.expanded)
    const note = (what: string, told: Told) => {
      lastAt = performance.now()
      last = `${what}: ${titleOf(told)}`
    }
    const give = (reason: string) => {
      for (const failure of failures) console.error(failure)
      console.error(`${reason} The last was that ${last}.`)
      console.error('What is open:', process.getActiveResourcesInfo().join(', '))
      process.exit(1)
    }
    emitter.on('group:start', (group) => note('a group has begun', group))
    emitter.on('group:end', (group) => note('a group has ended', group))
    emitter.on('test:start', (test) => note('a test has begun', test))
    emitter.on('test:end', (test) => {
      note('a test has ended', test)
      const texts = test.errors.map(({ error }) => String(error?.stack ?? error))
      if (test.hasError) failures.push(`Failed: ${titleOf(test)}\n${texts.join('\n')}`)
      timeouts = texts.some((text) => text.includes(TIMED_OUT)) ? timeouts + 1 : 0
      if (timeouts >= mostTimeouts) give(`${timeouts} tests one after another have taken too long.`)
    })

    const check = setInterval(() => {
      if (performance.now() - lastAt >= patience) {
        give(`Nothing has happened for ${patience / 1000} s.`)
      }
    }, 1000).unref()
    emitter.on('runner:end', () => clearInterval(check))
  }
}
