import { test } from '@japa/runner'
import type { TestContext } from '@japa/runner/core'
import { defineConfig, stores } from 'loquet'
import { bootApp, captureLog } from './app.js'

/** An app, and the lock events that it emits. */
async function bootListening(current: TestContext['test'], events: boolean | undefined) {
  const { lines, destination } = captureLog()
  const config = defineConfig({ default: 'main', stores: { main: stores.memory() }, events })
  const app = await bootApp(current, config, { destination })
  const emitter = await app.container.make('emitter')
  const locks = await app.container.make('lock.manager')
  const heard: [name: string, key: string, store: string | undefined][] = []
  emitter.onAny((name, message) => {
    if (String(name).startsWith('lock:')) heard.push([String(name), message.key, message.store])
  })
  return { app, emitter, locks, heard, lines }
}

/** What is emitted reaches its listeners some turns later. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 20))

test.group('AdonisJS | events', () => {
  test('locks are told of: acquired, refused, extended, released, lost', async ({
    assert,
    test: current,
  }) => {
    const { emitter, locks, heard } = await bootListening(current, true)
    const waited: (number | undefined)[] = []
    emitter.on('lock:acquired', (message) => void waited.push(message.waited))

    const lock = locks.createLock('one')
    await lock.acquire()
    await locks.createLock('one').acquireImmediately()
    await lock.extend()
    await lock.release()
    await locks.createLock('two').acquire()
    await locks.use('main').close({ release: true })
    await settled()

    assert.deepEqual(heard, [
      ['lock:acquired', 'one', 'main'],
      ['lock:refused', 'one', 'main'],
      ['lock:extended', 'one', 'main'],
      ['lock:released', 'one', 'main'],
      ['lock:acquired', 'two', 'main'],
      ['lock:lost', 'two', 'main'],
    ])
    assert.lengthOf(waited, 2)
    assert.isAtLeast(waited[0]!, 0)
  })

  test('not unless the config wants it, and not after the end of the app', async ({
    assert,
    test: current,
  }) => {
    const silent = await bootListening(current, undefined)
    await silent.locks.createLock('one').run(() => {})
    await settled()
    assert.deepEqual(silent.heard, [])

    const ended = await bootListening(current, true)
    await ended.app.terminate()
    await silent.locks.createLock('one').run(() => {})
    await settled()
    assert.deepEqual(ended.heard, [])
  })

  test('a listener that fails costs no lock and is logged', async ({ assert, test: current }) => {
    const { emitter, locks, lines } = await bootListening(current, true)
    emitter.on('lock:acquired', () => {
      throw new Error('listener failed')
    })
    assert.deepEqual(await locks.createLock('one').run(() => 1), [true, 1])
    await settled()
    assert.isNotEmpty(lines.filter(({ msg }) => msg.includes('"lock:acquired"')))
  })
})
