/**
 * CommonJS apps require the modules that others import: there is one kind of them only.
 */
import { test } from '@japa/runner'
import { installUnder } from './installed.js'
import type { Installed } from './installed.js'

test.group('CommonJS', (group) => {
  let app: Installed
  group.setup(async () => {
    app = await installUnder(['@verrou/core'])
    return () => app.remove()
  })

  test('require gives what import gives, without a warning', async ({ assert }) => {
    const { stdout, stderr } = await app.run('commonjs.cjs', {}, '--trace-warnings')

    assert.equal(stdout, 'everything holds\n')
    assert.equal(stderr, '')
  })
})
