/**
 * What the copies of this package have in common. An app that has it under several names (`@adonisjs/lock` and
 * `@verrou/core`) has each module several times; what one of them makes has to work with the others.
 */
import { version } from './require.cjs'

/**
 * Copies of one version share everything, those of different versions nothing: what lies here is the inside of the
 * package and changes without notice. A store of another version is driven by its five methods, like any custom store.
 */
const REGISTRY = Symbol.for(`loquet@${version}`)

const realm = globalThis as unknown as Record<symbol, Map<string, unknown> | undefined>
const registry = (realm[REGISTRY] ??= new Map())

/**
 * One thing for all copies of this version on this thread: the first copy makes it.
 */
export function shared<T>(name: string, make: () => T): T {
  if (!registry.has(name)) registry.set(name, make())
  return registry.get(name) as T
}

/**
 * Makes `instanceof` true for the instances of the same class in any copy, whichever its version. A subclass still
 * matches its own instances only.
 *
 * @param name - The same in all versions, for ever
 */
export function recognizeCopies(
  constructor: abstract new (...args: never[]) => object,
  name: string
): void {
  const mark = Symbol.for(`loquet.${name}`)
  Object.defineProperty(constructor.prototype, mark, { value: true })
  Object.defineProperty(constructor, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      if (this !== constructor) return Function.prototype[Symbol.hasInstance].call(this, value)
      return typeof value === 'object' && value !== null && mark in value
    },
  })
}
