/**
 * Fencing tokens in items: their format, clocks that aren't in step, lost replies, and the peer beside them.
 */
import { test } from '@japa/runner'
import { DynamoDBStore as PeerStore } from '@verrou/core/drivers/dynamodb'
import { DynamoDBStore } from 'loquet/drivers/dynamodb'

import { assertNotOwned, errorOf } from '../unit/observe.js'
import { once, replyLost, scripted, telling } from './scripted.js'
import type { Script } from './scripted.js'
import { itemOf, newTable, putItem, startRunning, storeOf } from './tables.js'
import type { Running } from './tables.js'

/** Seconds for which an item with a token stays after the lock. */
const WEEK = 7 * 24 * 3_600

const HOUR = 3_600_000

test.group('DynamoDB | fencing', (group) => {
  let running: Running
  const name = newTable()
  group.setup(async () => {
    running = await startRunning(name)
    return () => running.stop()
  })
  const store = () => storeOf(running, { name })
  const item = (key: string) => itemOf(running.client, name, key)
  /** What is free, with a last token. */
  const leave = (key: string, token: number) =>
    putItem(running.client, name, {
      key: { S: key },
      expires_at: { N: '0' },
      fencing_token: { N: String(token) },
    })
  /** A store whose requests meet a script. */
  const meeting = (script: Script) => {
    const { client, sent, operations } = scripted(script, running)
    return { store: new DynamoDBStore({ connection: client, table: { name } }), sent, operations }
  }

  test('the token is an attribute; a release leaves it, nobody’s and free, for a week', async ({
    assert,
  }) => {
    const token = (await store().saveFenced('k', 'me', 60_000)) as bigint
    const held = (await item('k'))!
    assert.deepEqual(held.fencing_token, { N: String(token) })
    assert.deepEqual(held.owner, { S: 'me' })
    assert.equal(Number(held.delete_after.N), Math.ceil(Number(held.expires_at.N) / 1000) + WEEK)

    const before = Date.now() / 1000
    await store().delete('k', 'me')
    const left = (await item('k'))!
    assert.sameMembers(Object.keys(left), ['key', 'expires_at', 'delete_after', 'fencing_token'])
    assert.deepEqual(left.expires_at, { N: '0' })
    assert.deepEqual(left.fencing_token, { N: String(token) })
    assert.closeTo(Number(left.delete_after.N), before + WEEK, 60)

    // Somebody without fencing holds it, frees it or lets it be freed by force: the token stays.
    assert.isTrue(await store().save('k', 'plain', null))
    await store().delete('k', 'plain')
    assert.isTrue(await store().save('k', 'plain', 60_000))
    await store().forceDelete('k')
    await store().forceDelete('k')
    assert.deepEqual((await item('k'))!.fencing_token, { N: String(token) })
    assert.isFalse(await store().exists('k'))
  })

  test('an acquire is one request, and so is a release', async ({ assert }) => {
    const { store: counted, operations } = meeting(({ pass }) => pass())
    assert.isTrue(await counted.save('plain', 'me', 60_000))
    await counted.delete('plain', 'me')
    assert.deepEqual(operations(), ['UpdateItem', 'DeleteItem'])
    assert.notStrictEqual(await counted.saveFenced('once', 'me', 60_000), false)
    await counted.extend('once', 'me', 90_000)
    await counted.delete('once', 'me')
    assert.deepEqual(operations().slice(2), ['UpdateItem', 'UpdateItem', 'UpdateItem'])
  })

  test('an extension keeps the token and lets the item stay as long', async ({ assert }) => {
    const one = store()
    await one.saveFenced('extended', 'me', 60_000)
    await one.extend('extended', 'me', 90_000)
    const found = (await item('extended'))!
    assert.equal(Number(found.delete_after.N), Math.ceil(Number(found.expires_at.N) / 1000) + WEEK)
    assert.isDefined(found.fencing_token)
    await one.delete('extended', 'me')
  })

  for (const way of ['a server that tells', 'a server that does not tell']) {
    test(`a clock that is behind the last token: one more than that (${way})`, async ({
      assert,
    }) => {
      const pass: Script = (met) => met.pass()
      const { store: behind, sent } = meeting(
        way === 'a server that tells' ? telling(running.server, pass) : pass
      )
      const last = (Date.now() + HOUR) * 1000
      await leave(way, last)
      assert.strictEqual(await behind.saveFenced(way, 'one', 60_000), BigInt(last + 1))
      assert.equal(sent.filter(({ operation }) => operation === 'UpdateItem').length, 2)
      assert.strictEqual(await behind.saveFenced(way, 'other', 60_000), false)
      await behind.delete(way, 'one')
      assert.strictEqual(await store().saveFenced(way, 'two', 60_000), BigInt(last + 2))
      await behind.forceDelete(way)
      assert.strictEqual(await store().saveFenced(way, 'three', 60_000), BigInt(last + 3))
    })
  }

  test('C1: somebody is faster while the token is raised: it is held', async ({ assert }) => {
    await leave('raced', (Date.now() + HOUR) * 1000)
    const { store: slow } = meeting(
      once('GetItem', async ({ pass }) => {
        const answer = await pass()
        assert.isTrue(await store().save('raced', 'faster', 60_000))
        return answer
      })
    )
    assert.strictEqual(await slow.saveFenced('raced', 'me', 60_000), false)
    await store().delete('raced', 'faster')
  })

  test('C6: a lost reply of an acquire: its token is that of the item', async ({ assert }) => {
    for (const last of [0, (Date.now() + HOUR) * 1000]) {
      const key = `lost ${last}`
      if (last > 0) await leave(key, last)
      const { store: unlucky } = meeting(once('UpdateItem', replyLost))
      const token = await unlucky.saveFenced(key, 'me', 60_000)
      assert.equal(String(token), (await item(key))!.fencing_token.N)
      assert.isTrue((token as bigint) > BigInt(last))
      await unlucky.delete(key, 'me')
      const next = await store().saveFenced(key, 'you', 60_000)
      assert.isTrue((next as bigint) > (token as bigint))
    }
  })

  test('C6: a lost reply of a release: it is released, and the token stays', async ({ assert }) => {
    let isArmed = false
    const { store: unlucky } = meeting((met) => {
      if (!isArmed || met.operation !== 'UpdateItem') return met.pass()
      isArmed = false
      return replyLost(met)
    })
    const token = await unlucky.saveFenced('release lost', 'me', 60_000)
    isArmed = true
    await unlucky.delete('release lost', 'me')
    assert.isFalse(isArmed)
    assert.equal((await item('release lost'))!.fencing_token.N, String(token))
    assert.isFalse(await store().exists('release lost'))
    await assertNotOwned(assert, () => unlucky.delete('release lost', 'me'))
  })

  test('C22: an acquire that nobody has heard of is taken back, and later tokens are greater', async ({
    assert,
  }) => {
    const { client } = scripted(
      once('UpdateItem', async ({ pass, signal }) => {
        await pass()
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        })
      }),
      running
    )
    const unlucky = new DynamoDBStore({
      connection: client,
      table: { name },
      commandTimeout: 300,
    })
    const error = await errorOf(() => unlucky.saveFenced('late', 'me', 600_000))
    assert.equal(error.code, 'E_LOCK_STORAGE_ERROR')
    const lost = BigInt((await item('late'))!.fencing_token.N!)
    let token: bigint | false = false
    while (token === false) token = await store().saveFenced('late', 'you', 60_000)
    assert.isTrue(token > lost)
  })

  test('the peer takes what is left for free; what it writes anew has no token', async ({
    assert,
  }) => {
    const peer = new PeerStore({ connection: running.client, table: { name } })
    const token = (await store().saveFenced('peer', 'me', 60_000)) as bigint
    assert.isTrue(await peer.exists('peer'))
    assert.isFalse(await peer.save('peer', 'peer', 60_000 as never))
    await store().delete('peer', 'me')
    assert.isFalse(Boolean(await peer.exists('peer')))
    assert.isTrue(await peer.save('peer', 'peer', 60_000 as never))
    assert.isUndefined((await item('peer'))!.fencing_token)
    assert.strictEqual(await store().saveFenced('peer', 'me', 60_000), false)
    await peer.delete('peer', 'peer')
    const next = (await store().saveFenced('peer', 'me', 60_000)) as bigint
    assert.isTrue(next > token)
  })

  test('the option is true or false, and the store says it', async ({ assert }) => {
    assert.isFalse(store().fencing)
    assert.isTrue(storeOf(running, { name, fencing: true }).fencing)
    const error = await errorOf(() => storeOf(running, { name, fencing: 1 as never }))
    assert.match(error.message, /fencing/)
  })
})
