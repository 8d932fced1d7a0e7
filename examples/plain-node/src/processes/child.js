/**
 * What a child process may be asked to do: `node child.js PLACE TASK ARGUMENT`.
 */
const [name, task, argument] = process.argv.slice(2)
const { locks, counter, close } = await import(`./${name}.js`)

const tasks = {
  /**
   * Counts up as many times as asked for. What is read must not change before it is written, so the lock is held meanwhile.
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

await tasks[task](argument)
await close()
