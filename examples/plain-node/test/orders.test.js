import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { processInWorker } from '../src/hand_over.js'
import { journal, locks } from '../src/locks.js'
import { processAutomatically, processManually, processPatiently } from '../src/orders.js'

/**
 * A promise that is settled from outside.
 */
function gate() {
  let open
  const passed = new Promise((resolve) => {
    open = resolve
  })
  return { open, passed }
}

function isLocked(orderId) {
  return locks.createLock(`order.processing.${orderId}`).isLocked()
}

for (const process of [processManually, processAutomatically]) {
  describe(process.name, () => {
    test('lets exactly one task of a race process an order', async () => {
      const answers = await Promise.all(Array.from({ length: 50 }, () => process('a')))

      assert.equal(answers.filter((answer) => answer === 'processed').length, 1)
      assert.equal(answers.filter((answer) => answer === 'told so').length, 49)
      assert.equal(await isLocked('a'), false)
    })

    test('works on different orders at once', async () => {
      const { open, passed } = gate()
      const held = process('a', () => passed)

      assert.equal(await process('a'), 'told so')
      assert.equal(await process('b'), 'processed')
      open()
      assert.equal(await held, 'processed')
    })

    test('releases the lock of an order that fails', async () => {
      const failure = new Error('Out of paper')

      await assert.rejects(
        process('a', async () => {
          throw failure
        }),
        failure
      )
      assert.equal(await process('a'), 'processed')
    })
  })
}

describe('processPatiently', () => {
  test('lets tasks take turns in the order in which they came', async () => {
    const signal = new AbortController().signal
    const turns = []
    let working = 0

    await Promise.all(
      [1, 2, 3, 4, 5].map((turn) =>
        processPatiently('a', signal, async () => {
          assert.equal(++working, 1)
          turns.push(turn)
          await new Promise(setImmediate)
          working--
        })
      )
    )
    assert.deepEqual(turns, [1, 2, 3, 4, 5])
  })

  test('gives up when the signal says so, and leaves the place to others', async () => {
    const { open, passed } = gate()
    const controller = new AbortController()
    const reason = new Error('The customer went home')

    const held = processPatiently('a', new AbortController().signal, () => passed)
    const first = processPatiently('a', controller.signal)
    const second = processPatiently('a', new AbortController().signal)

    controller.abort(reason)
    await assert.rejects(first, reason)

    open()
    assert.deepEqual(await Promise.all([held, second]), ['processed', 'processed'])
    assert.equal(await isLocked('a'), false)
  })
})

describe('processInWorker', () => {
  test('releases in a worker thread what was acquired here', async () => {
    const lock = locks.use('threads').createLock('order.processing.a')

    const processing = processInWorker('a')
    assert.equal(await lock.isLocked(), true)
    assert.equal(await processInWorker('a'), false)

    assert.equal(await processing, true)
    assert.equal(await lock.isLocked(), false)
    assert.equal(await processInWorker('a'), true)
  })
})

describe('JournalStore', () => {
  test('writes down what it is asked for', async () => {
    journal.length = 0
    const lock = locks.use('journal').createLock('a')
    const other = locks.use('journal').createLock('a')

    await lock.acquireImmediately()
    await other.acquireImmediately()
    await lock.extend('1s')
    await lock.isLocked()
    await lock.release()
    await lock.acquireImmediately()
    await other.forceRelease()

    assert.deepEqual(journal, [
      'save a: acquired',
      'save a: taken',
      'extend a: 1000 ms',
      'exists a: yes',
      'delete a',
      'save a: acquired',
      'force delete a',
    ])
  })

  test('passes the errors of the store below on', async () => {
    await assert.rejects(locks.use('journal').createLock('a').release(), {
      code: 'E_LOCK_NOT_OWNED',
    })
  })
})
