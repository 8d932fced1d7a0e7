let crypto: typeof import('node:crypto') | undefined

/**
 * A name for an acquisition: a random UUID, 122 bits of the operating system's randomness.
 *
 * node:crypto takes milliseconds to load, and a program that only imports this package, or never asks for a name, needs
 * none of it.
 */
export function newOwner(): string {
  crypto ??= process.getBuiltinModule('node:crypto')
  return crypto.randomUUID()
}
