/**
 * Keeps what a run has tested, so that `scripts/rules_table.mjs` can tell which rule is tested with which store.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { PluginFn } from '@japa/runner/types'

const root = fileURLToPath(new URL('../', import.meta.url))

/** A test that has passed. */
export interface Passed {
  file: string
  group: string
  title: string
}

/** What a test is said to be part of; Japa leaves it open. */
interface Place {
  suite?: { name?: string }
  group?: { title?: string }
  fileName?: string
}

/**
 * Writes `tmp/tests/<suite>.json` for each suite that has been run whole.
 */
export function record(): PluginFn {
  return ({ emitter, cliArgs }) => {
    const { files, tests, groups, tags } = cliArgs
    if ([files, tests, groups, tags].some(Boolean)) return
    const suites = new Map<string, Passed[]>()
    emitter.on('test:end', ({ title, meta, hasError, isSkipped }) => {
      if (hasError || isSkipped) return
      const { suite, group, fileName = '' } = (meta ?? {}) as Place
      const name = suite?.name ?? ''
      const passed = suites.get(name) ?? []
      passed.push({
        file: relative(root, fileName),
        group: group?.title ?? '',
        title: title.original,
      })
      suites.set(name, passed)
    })
    emitter.on('runner:end', () => {
      mkdirSync(`${root}tmp/tests`, { recursive: true })
      for (const [name, passed] of suites) {
        writeFileSync(`${root}tmp/tests/${name}.json`, JSON.stringify(passed))
      }
    })
  }
}
