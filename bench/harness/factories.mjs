/**
 * A lock factory over a memory store of its own. loquet and Verrou have the same API, so that the
 * same lines drive both.
 *
 * @param {'loquet' | '@verrou/core'} name
 * @returns {Promise<import('@verrou/core').LockFactory>}
 */
export async function openFactory(name) {
  const { LockFactory } = await import(name)
  const { MemoryStore } = await import(`${name}/drivers/memory`)
  return new LockFactory(new MemoryStore())
}
