/**
 * Ends a run that has come to a standstill, and says where. Japa's timeouts are for what tests do, not for their hooks.
 */
import type { PluginFn } from '@japa/runner/types'

/** What the events of a run tell of a test or a group. */
interface Told {
  title: string | { expanded: string }
}

/**
 * Exits with 1 if for `patience` milliseconds no test and no group has begun or ended.
 */
export function watchdog(patience: number): PluginFn {
  return ({ emitter }) => {
    let lastAt = performance.now()
    let last = 'the run has begun'
    const note = (what: string, told?: Told) => {
      const title = typeof told?.title === 'string' ? told.title : told?.title.expanded
      lastAt = performance.now()
      last = title === undefined ? what : `${what}: ${title}`
    }
    emitter.on('group:start', (group) => note('a group has begun', group))
    emitter.on('group:end', (group) => note('a group has ended', group))
    emitter.on('test:start', (test) => note('a test has begun', test))
    emitter.on('test:end', (test) => note('a test has ended', test))

    const check = setInterval(() => {
      if (performance.now() - lastAt < patience) return
      console.error(`Nothing has happened for ${patience / 1000} s. The last was that ${last}.`)
      console.error('What is open:', process.getActiveResourcesInfo().join(', '))
      process.exit(1)
    }, 1000).unref()
    emitter.on('runner:end', () => clearInterval(check))
  }
}
