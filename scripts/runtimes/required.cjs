/** The same package, required. */
const assert = require('node:assert/strict')
const { LockFactory } = require('loquet')
const { MemoryStore, memoryStore } = require('loquet/drivers/memory')

async function main() {
  const imported = await import('loquet/drivers/memory')
  assert.equal(imported.MemoryStore, MemoryStore)
  const [executed, owner] = await new LockFactory(memoryStore().factory())
    .createLock('key')
    .run((lock) => lock.getOwner())
  assert(executed && owner)
  console.log('works')
}

main()
