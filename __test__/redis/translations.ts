/**
 * Translations of options as the tests look at them.
 */
import { translateInstance } from '../../lib/drivers/redis/instance.js'
import { translateConfig } from '../../lib/drivers/redis/translate.js'
import { tryTranslating } from '../../lib/drivers/translation/values.js'
import type { RedisSettings, Translation } from '../../lib/drivers/redis/settings.js'

/** An ioredis instance that never connects. */
export const LAZY = { lazyConnect: true }

export const instance = (connection: object) => translateInstance(connection)

/** A connection of `config/redis.ts`, or plain options. */
export const config = (options: object, url?: string) =>
  tryTranslating(() => translateConfig({ ...options }, url))

/** The same for a cluster of one node. */
export const cluster = (clusterOptions: object) =>
  config({ clusters: [{ host: 'a', port: 7000 }], clusterOptions })

export function settingsOf(result: Translation): RedisSettings {
  if (result.kind !== 'native') throw new Error(`not carried over, since ${result.reason}`)
  return result.settings
}

export function reasonOf(result: Translation): string {
  if (result.kind !== 'connection') throw new Error('carried over')
  return result.reason
}
