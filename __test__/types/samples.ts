/**
 * The code samples of the user guide, word for word, and where they stand in an app. What isn't a module of its own in
 * the guide (an object, say) is wrapped here by what a person writes around it; the samples themselves are not edited.
 */
import { readFileSync } from 'node:fs'
import type { Consumer } from './consumer.js'

interface Sample {
  /** The files of `document/` that make up one file of the app. */
  samples: string[]
  /** What stands around them. */
  before?: string
  after?: string
}

const OPTIONS = "import { defineConfig, stores } from '@adonisjs/lock'\n"

/** The app of the guide, by the paths of its files. */
export const APP: Record<string, Sample> = {
  'adonisrc.ts': {
    samples: ['adonisrc.ts'],
    before: "import { defineConfig } from '@adonisjs/core/app'\nexport default defineConfig(\n",
    after: ')\n',
  },
  'start/env.ts': {
    samples: ['env_validation.ts'],
    before:
      "import { Env } from '@adonisjs/core/env'\n" +
      "export default await Env.create(new URL('../', import.meta.url), \n",
    after: ')\n',
  },
  'config/lock.ts': { samples: ['config_lock.ts'] },
  'config/redis_options.ts': {
    samples: ['redis_options.ts'],
    before: `${OPTIONS}export default defineConfig({ default: 'redis', stores: \n`,
    after: '})\n',
  },
  'config/database_options.ts': {
    samples: ['database_options.ts'],
    before: `${OPTIONS}export default defineConfig({ default: 'database', stores: \n`,
    after: '})\n',
  },
  'config/memory_options.ts': {
    samples: ['memory_options.ts'],
    before: `${OPTIONS}export default defineConfig({ default: 'memory', stores: \n`,
    after: '})\n',
  },
  'app/controllers/manual_locking.ts': { samples: ['manual_locking.ts'] },
  'app/controllers/automatic_locking.ts': { samples: ['automatic_locking.ts'] },
  'app/controllers/main_server.ts': { samples: ['main_server.ts'] },
  'app/jobs/background_job.ts': { samples: ['background_job.ts'] },
  'app/named_store.ts': { samples: ['named_store.ts'], after: 'export { lock }\n' },
  'app/default_store.ts': { samples: ['default_store.ts'], after: 'export { lock }\n' },
  // The guide writes the three next to each other: a class, its factory, a config that uses it.
  'config/noop_lock.ts': {
    samples: ['noop_store.ts', 'noop_factory.ts', 'noop_config.ts'],
    after: 'export { NoopStore, noopStore }\nexport default lockConfig\n',
  },
}

/**
 * What the guide takes for granted: the app's own names, and those of the sample that it doesn't introduce. `HttpContext`
 * is imported by the first two controllers and forgotten by the third.
 */
export const AMBIENT = `
import type { HttpContext as Context } from '@adonisjs/core/http'

declare global {
  function processOrder(): Promise<void>
  const queue: { dispatch(job: string, payload: { lock: unknown }): void }
  type HttpContext = Context
  type Void = void
  interface MyNoopStoreConfig {}
}
`

/** One sample as it stands in the guide. */
export function readSample(name: string): string {
  return readFileSync(new URL(`document/${name}`, import.meta.url), 'utf8')
}

/** A file of the app: its samples and what stands around them. */
export function composeFile(path: string): string {
  const { samples, before = '', after = '' } = APP[path]
  return before + samples.map(readSample).join('\n') + after
}

/** What the `package.json` of an AdonisJS app says about its own paths. */
export const APP_MANIFEST = {
  imports: { '#start/*': './start/*.js', '#config/*': './config/*.js' },
}

/** Writes the app of the guide, as TypeScript. */
export async function writeApp(consumer: Consumer): Promise<string[]> {
  await consumer.write('types/app.d.ts', AMBIENT)
  for (const path of Object.keys(APP)) await consumer.write(path, composeFile(path))
  return ['types/app.d.ts', ...Object.keys(APP)]
}
