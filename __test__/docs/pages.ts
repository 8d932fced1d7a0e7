/**
 * The pages that people read, and the programs that their samples are part of.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../types/consumer.js'
import { choosing } from './programs/choosing.js'
import { database } from './programs/database.js'
import { dynamodb } from './programs/dynamodb.js'
import { fencing } from './programs/fencing.js'
import { longWork } from './programs/long_work.js'
import { migrating } from './programs/migrating.js'
import { observability } from './programs/observability.js'
import { readme } from './programs/readme.js'
import { redis } from './programs/redis.js'
import { runtimes } from './programs/runtimes.js'
import type { Program } from './program.js'

/** `architecture.md` is for those who work on the package; it has no samples. */
export const PAGES = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && name !== 'architecture.md')
    .map((name) => `docs/${name}`)
    .sort(),
]

/** By their names, which no two of them share. */
export const PROGRAMS: Record<string, Program> = {
  ...readme,
  ...choosing,
  ...redis,
  ...database,
  ...dynamodb,
  ...fencing,
  ...longWork,
  ...migrating,
  ...runtimes,
  ...observability,
}

/**
 * The specs of other folders that read a page with `samplesOf` and try its samples where they belong: an adapter with the
 * adapters, say.
 */
export function triedElsewhere(page: string): string[] {
  return readdirSync(join(root, '__test__'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith('docs/'))
    .filter((path) => {
      const text = readFileSync(join(root, '__test__', path), 'utf8')
      return text.includes(`'${page}'`) && text.includes('samplesOf')
    })
}
