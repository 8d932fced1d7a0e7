/**
 * Recognizes a genuine ioredis instance, without loading ioredis: by how its classes are built. Anything that only looks
 * like one (a double of a test, an object around one, a subclass) may do whatever it likes with a command, so it is asked
 * for every command.
 */
import { types } from 'node:util'

import { Untranslatable } from './settings.js'
import type { RawOptions, Translation } from './settings.js'
import { translateCluster, translateRedis } from './translate.js'
import { cannot, tryTranslating } from '../translation/values.js'

/** Methods of the class that ioredis's classes have in common, and of each of them. */
const COMMON_METHODS = ['sendCommand', 'defineCommand', 'getBuiltinCommands']
const REDIS_METHODS = ['sendCommand', 'connect', 'disconnect', '_readyCheck']
const CLUSTER_METHODS = ['sendCommand', 'connect', 'disconnect', 'refreshSlotsCache']

/** Options that change while the app runs where somebody has made accessors of them: access tokens, say. */
const CREDENTIALS = ['username', 'password', 'sentinelUsername', 'sentinelPassword']

/**
 * Translates the options of an ioredis instance.
 *
 * @throws InvalidArgumentsException if no lock can be taken with them
 */
export function translateInstance(instance: object): Translation {
  return tryTranslating(() => {
    const kind = kindOf(instance)
    const { options, startupNodes, condition } = instance as {
      options: RawOptions
      startupNodes?: unknown
      condition?: { select?: unknown } | null
    }
    if (typeof options !== 'object' || options === null) {
      throw new Untranslatable('the connection has no options')
    }
    assertConstant(options)
    if (kind === 'redis') return translateRedis(options, condition?.select)
    assertConstant(options.redisOptions as RawOptions | undefined)
    return translateCluster(startupNodes, options)
  })
}

function kindOf(instance: object): 'redis' | 'cluster' {
  if (types.isProxy(instance)) throw new Untranslatable('the connection is a proxy')
  const prototype = Object.getPrototypeOf(instance) as object | null
  const common = prototype && (Object.getPrototypeOf(prototype) as object | null)
  if (prototype === null || common === null || !hasOwn(common, COMMON_METHODS)) {
    throw new Untranslatable(
      isDescendant(prototype)
        ? "the connection is of a class that is derived from ioredis's"
        : 'the connection is no ioredis instance'
    )
  }
  const kind = hasOwn(prototype, REDIS_METHODS)
    ? 'redis'
    : hasOwn(prototype, CLUSTER_METHODS)
      ? 'cluster'
      : undefined
  if (kind === undefined) throw new Untranslatable('the connection is no ioredis instance')
  assertUnchanged(instance, prototype)
  return kind
}

function isDescendant(prototype: object | null): boolean {
  for (let one = prototype; one !== null; one = Object.getPrototypeOf(one) as object | null) {
    if (hasOwn(one, COMMON_METHODS)) return true
  }
  return false
}

function hasOwn(target: object, names: string[]): boolean {
  return names.every((name) => Object.hasOwn(target, name))
}

/** Methods of the class may be replaced on an instance, by a spy of a test for example. */
function assertUnchanged(instance: object, prototype: object): void {
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(instance))) {
    if (typeof value === 'function' && name in prototype) {
      throw new Untranslatable(`the connection's method "${name}" has been replaced`)
    }
  }
}

function assertConstant(options: RawOptions | null | undefined): void {
  for (const name of CREDENTIALS) {
    if (Object.getOwnPropertyDescriptor(options ?? {}, name)?.get !== undefined) {
      throw cannot(name, 'it is computed each time')
    }
  }
}
