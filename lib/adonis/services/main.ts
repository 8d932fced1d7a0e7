import app from '@adonisjs/core/services/app'
import type { LockService } from '../types.js'

let locks: LockService

/**
 * The lock manager of the app. Available once the app has booted, which importing this module waits for.
 */
await app.booted(async () => {
  locks = await app.container.make('lock.manager')
})

export { locks as default }
