import { counter } from './counter.js'
import { database, locks } from './locks.js'

/**
 * What a child process may be asked to do: `node child.js TASK ARGUMENT`.
 */
const tasks = {
  /**
   * Counts up as many times as asked for.
   */
  async count(times) {
    const lock = locks.createLock('counter')
    for (let turn = 0; turn < Number(times); turn++) {
      await lock.run(async () => {
        await counter.write((await counter.read()) + 1)
      })
    }
  },

  /**
   * Takes over a lock that another process has acquired, and releases it.
   */
  async release(serialized) {
    await locks.restoreLock(JSON.parse(serialized)).release()
  },
}

const [task, argument] = process.argv.slice(2)
await tasks[task](argument)

await locks.close()
await database.destroy()
