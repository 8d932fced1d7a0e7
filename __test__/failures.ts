/**
 * The titles of what has failed, together at the very end: whoever sees only the last lines of a long log sees all of them.
 */
import type { PluginFn } from '@japa/runner/types'

/** What an event of Japa's tells of where a test or a hook belongs to. */
interface Place {
  suite?: { name?: string }
  group?: { title?: string }
}

/**
 * Collects the failures of a run.
 *
 * @param failures - Gets a line for each test and each hook
 */
export function failuresInto(failures: string[]): PluginFn {
  return ({ emitter }) => {
    const add = (...places: (string | undefined)[]) => {
      failures.push(places.filter(Boolean).join(' > '))
    }
    emitter.on('test:end', ({ title, meta, hasError }) => {
      const { suite, group } = (meta ?? {}) as Place
      if (hasError) add(suite?.name, group?.title, title.expanded)
    })
    // These have errors of their own only if a hook has failed.
    emitter.on('group:end', ({ title, errors }) => {
      for (const { phase } of errors) add(title, phase)
    })
    emitter.on('suite:end', ({ name, errors }) => {
      for (const { phase } of errors) add(name, phase)
    })
  }
}
