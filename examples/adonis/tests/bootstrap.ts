import { apiClient } from '@japa/api-client'
import { assert } from '@japa/assert'
import { pluginAdonisJS } from '@japa/plugin-adonisjs'
import type { Config } from '@japa/runner/types'
import app from '@adonisjs/core/services/app'
import testUtils from '@adonisjs/core/services/test_utils'
import { NO_REDIS, redisServer } from '#tests/servers'

export const plugins: Config['plugins'] = [assert(), apiClient(), pluginAdonisJS(app)]

export const runnerHooks: Required<Pick<Config, 'setup' | 'teardown'>> = {
  setup: [],
  teardown: [],
}

/**
 * All tests talk to real servers: to one in this process whose locks are in memory, or to processes of their own whose
 * locks are in Redis, in a database or in DynamoDB.
 */
export const configureSuite: Config['configureSuite'] = (suite) => {
  if (suite.name === 'functional') {
    suite.setup(() => testUtils.httpServer().start())
  }
  if (suite.name === 'redis') {
    suite.setup(async () => {
      if ((await redisServer()) === null) throw new Error(NO_REDIS)
    })
  }
  if (suite.name === 'database') {
    suite.setup(() => testUtils.db().migrate())
  }
}
