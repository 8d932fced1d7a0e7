/**
 * A CommonJS app. What it requires is what others import.
 */
const assert = require('node:assert/strict')
const { E_LOCK_NOT_OWNED, LockFactory, Verrou, errors } = require('@verrou/core')
const { MemoryStore, memoryStore } = require('@verrou/core/drivers/memory')
const { exports: entries } = require('@verrou/core/package.json')

/** AdonisJS's own: its apps are ES modules, and the service waits for the app with a top-level await. */
const OF_ADONIS = ['./lock_provider', './services/main']

async function main() {
  for (const entry of Object.keys(entries)) {
    if (OF_ADONIS.includes(entry) || entry.endsWith('.json')) continue
    const name = `@verrou/core${entry.slice(1)}`
    const required = require(name)
    const imported = await import(name)
    assert.deepEqual(Object.keys(required).sort(), Object.keys(imported).sort())
    for (const [key, value] of Object.entries(imported)) assert.equal(required[key], value, key)
  }

  const verrou = new Verrou({ default: 'memory', stores: { memory: { driver: memoryStore() } } })
  const lock = verrou.createLock('key', '10s')
  const [executed, owner] = await lock.run((held) => held.getOwner())
  assert(executed && owner.length > 0)
  await assert.rejects(lock.release(), (error) => {
    return error instanceof E_LOCK_NOT_OWNED && error instanceof errors.E_LOCK_NOT_OWNED
  })

  class Mine extends MemoryStore {}
  assert(await new LockFactory(new Mine()).createLock('key').acquireImmediately())
  console.log('everything holds')
}

main()
