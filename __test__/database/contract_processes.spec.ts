/**
 * Processes and threads that use a database.
 */
import { BACKENDS, openFactory } from './backends.js'
import { registerProcesses } from '../lifecycle/server_processes.js'
import type { Place } from '../lifecycle/server_processes.js'

for (const [title, open] of Object.entries(BACKENDS)) {
  registerProcesses({
    title,
    isFile: title.startsWith('SQLite'),
    ends: ['at once', 'while they wait', 'within a callback', 'in the exit handler'],
    threads: { ended: 20, turns: 5 },
    async start(): Promise<Place> {
      const backend = await open()
      const createFactory = () => openFactory(backend.config)
      // The table is there.
      await createFactory()
        .createLock('first')
        .run(() => {})
      return {
        options: JSON.stringify({ ...backend.config, commandTimeout: 2_000 }),
        createFactory,
        async lockedKeys() {
          const leases = await backend.leases()
          return leases.map(({ key }) => key)
        },
        stop: () => backend.stop(),
      }
    },
  })
}
