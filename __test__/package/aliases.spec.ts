/**
 * The package under the names of both peers in one app.
 */
import { test } from '@japa/runner'
import { startStandalone } from '../redis/servers.js'
import type { RedisServer } from '../redis/servers.js'
import { installUnder } from './installed.js'
import type { Installed } from './installed.js'

const NAMES = ['@adonisjs/lock', '@verrou/core']

for (const [title, options] of [
  ['from a registry', []],
  ['with a binary in each copy', ['--self-contained']],
] as const) {
  test.group(`Both names in one app | ${title}`, (group) => {
    let app: Installed
    let server: RedisServer
    group.setup(async () => {
      app = await installUnder(NAMES, [...options])
      server = await startStandalone()
      return async () => {
        await server.stop()
        await app.remove()
      }
    })

    test('C1, C3, C8: what one makes works with the other', async ({ assert }) => {
      const { stdout, stderr } = await app.run('both_names.mjs', { REDIS_URL: server.url })

      assert.equal(stdout, 'everything holds\n')
      assert.equal(stderr, '')
    })

    if (options.length > 0) return
    test('C1, C8: threads that use different names share lock spaces', async ({ assert }) => {
      const { stdout } = await app.run('thread.mjs')

      assert.equal(stdout, 'everything holds\n')
    })
  })
}
