import { test } from '@japa/runner'
import { LockFactory } from 'loquet'

import { forEachStore, SyncStore } from './stores_under_test.js'

/** Texts that have harmed somebody somewhere. */
const TEXTS = [
  ' ',
  '\0',
  'a\0b',
  '\n\r\t\v\b',
  '\u0000\u0001\u001F\u007F\u0080',
  '🔒',
  '👩‍👩‍👧‍👦',
  '日本語',
  'ключ',
  'é',
  'e\u0301',
  '\uFEFFkey',
  '\uFFFD',
  '\u202Ekey',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'toString',
  'undefined',
  'null',
  '0',
  '-0',
  "'; DROP TABLE locks; --",
  '" OR 1=1 --',
  '%_*?[]{}',
  '$1 :key ?',
  '../../etc/passwd',
  '{tag}',
  'Foo',
  'foo',
  'FOO',
  'foo ',
  ' foo',
  'x'.repeat(250),
  'x'.repeat(251),
  'x'.repeat(252),
  'x'.repeat(253),
  'x'.repeat(255),
  'x'.repeat(256),
  'x'.repeat(257),
  `${'x'.repeat(251)}🔒`,
  `${'x'.repeat(252)}🔒`,
  `${'x'.repeat(253)}🔒`,
  `${'x'.repeat(254)}🔒`,
  'y'.repeat(10_000),
  '🔒'.repeat(10_000),
]

const LONE_SURROGATES = ['\uD800', '\uDFFF', 'a\uD800b', '\uDC00\uD800', 'x'.repeat(300) + '\uD800']

forEachStore('keys', ({ createStore }) => {
  test('C20: any text is a safe key, and no two of them are the same', async ({ assert }) => {
    const store = createStore()
    const factory = new LockFactory(store)
    const locks = TEXTS.map((text) => factory.createLock(text, 60_000))
    for (const [index, lock] of locks.entries()) {
      const title = JSON.stringify(TEXTS[index]).slice(0, 60)
      assert.isFalse(await lock.isLocked(), title)
      assert.isTrue(await lock.acquireImmediately(), title)
      assert.isTrue(await lock.isLocked(), title)
      assert.isFalse(await factory.createLock(TEXTS[index]).acquireImmediately(), title)
    }
    for (const [index, lock] of locks.entries()) {
      const title = JSON.stringify(TEXTS[index]).slice(0, 60)
      await lock.extend(30_000)
      assert.equal(lock.serialize().key, TEXTS[index])
      const restored = factory.restoreLock(JSON.parse(JSON.stringify(lock.serialize())))
      await restored.release()
      assert.isFalse(await lock.isLocked(), title)
    }
  })

  test('C20: the same texts through the methods of the store', async ({ assert }) => {
    const store = createStore()
    for (const text of TEXTS) {
      assert.isTrue(await store.save(text, text, 60_000))
      assert.isTrue(await store.exists(text))
    }
    for (const text of TEXTS) {
      await store.extend(text, text, 30_000)
      await store.delete(text, text)
      assert.isFalse(await store.exists(text))
      await store.save(text, text, null)
      await store.forceDelete(text)
      assert.isFalse(await store.exists(text))
    }
  })

  test('C20: waiters of any key are served', async ({ assert }) => {
    const factory = new LockFactory(createStore(), { retry: { delay: 60_000 } })
    const tasks = TEXTS.flatMap((text) =>
      [1, 2, 3].map(() => factory.createLock(text).run(() => text))
    )
    const outcomes = await Promise.all(tasks)
    assert.deepEqual(
      outcomes.map(([, text]) => text),
      TEXTS.flatMap((text) => [text, text, text])
    )
  })

  test('C20: Foo and foo are different keys', async ({ assert }) => {
    const factory = new LockFactory(createStore())
    const [upper, lower] = [factory.createLock('Foo'), factory.createLock('foo')]
    assert.isTrue(await upper.acquireImmediately())
    assert.isFalse(await lower.isLocked())
    assert.isTrue(await lower.acquireImmediately())
    await upper.release()
    assert.isTrue(await lower.isLocked())
  })

  test('C20: a half of a surrogate pair, which is no text, is locked and released like any other key', async ({
    assert,
  }) => {
    const factory = new LockFactory(createStore(), { retry: { delay: 60_000 } })
    for (const key of LONE_SURROGATES) {
      const title = JSON.stringify(key).slice(-40)
      const [lock, waiter] = [factory.createLock(key), factory.createLock(key)]
      assert.isTrue(await lock.acquire(), title)
      assert.isTrue(await lock.isLocked(), title)
      await lock.extend(5000)
      const waiting = waiter.acquire()
      await lock.release()
      assert.isTrue(await waiting, title)
      await waiter.forceRelease()
      assert.isFalse(await waiter.isLocked(), title)
    }
  })
})

test.group('keys | custom store', () => {
  test('C20: a custom store is given the very key, by all methods', async ({ assert }) => {
    const given: string[] = []
    const store = new SyncStore()
    for (const method of ['save', 'delete', 'forceDelete', 'exists', 'extend'] as const) {
      const original = store[method].bind(store) as (...args: unknown[]) => never
      store[method] = ((key: string, ...rest: unknown[]) => {
        given.push(key)
        return original(key, ...rest)
      }) as never
    }
    const factory = new LockFactory(store)
    for (const key of [...TEXTS, ...LONE_SURROGATES]) {
      given.length = 0
      const lock = factory.createLock(key)
      await lock.acquire()
      await lock.isLocked()
      await lock.extend(1000).catch(() => {})
      await lock.release()
      await lock.forceRelease()
      assert.deepEqual(given, [key, key, key, key, key])
    }
  })
})
