/**
 * What is in the table: the peer's format, and what is added to it.
 */
import { test } from '@japa/runner'
import { DynamoDBStore as PeerStore } from '@verrou/core/drivers/dynamodb'
import { LockFactory as PeerFactory } from '@verrou/core'
import { LockFactory } from 'loquet'
import { createHash } from 'node:crypto'

import { assertNotOwned, rejectionOf, until } from '../unit/observe.js'
import { itemOf, newTable, putItem, startRunning, storeOf } from './tables.js'
import type { Running } from './tables.js'

/** The peer's errors are of classes of its own. */
async function codeOf(call: Promise<unknown>): Promise<unknown> {
  const { code } = await rejectionOf(call)
  return code
}

/** Seconds between a lease's end and DynamoDB's own clean-up. */
const SLACK = 3_600

test.group('DynamoDB | items', (group) => {
  let running: Running
  const name = newTable()
  group.setup(async () => {
    running = await startRunning(name)
    return () => running.stop()
  })
  const store = () => storeOf(running, { name })
  const item = (key: string) => itemOf(running.client, name, key)
  const put = (key: string, more: Record<string, string>) => {
    const attributes = Object.entries(more).map(([attribute, value]) => [
      attribute,
      attribute === 'owner' ? { S: value } : { N: value },
    ])
    return putItem(running.client, name, { key: { S: key }, ...Object.fromEntries(attributes) })
  }

  test('a lock is key, owner and expires_at as the peer has them, and a clean-up in seconds', async ({
    assert,
  }) => {
    const before = Date.now()
    assert.isTrue(await store().save('plain', 'me', 90_000))
    const after = Date.now()

    const found = (await item('plain'))!
    assert.sameMembers(Object.keys(found), ['key', 'owner', 'expires_at', 'delete_after'])
    assert.deepEqual([found.key, found.owner], [{ S: 'plain' }, { S: 'me' }])
    const end = Number(found.expires_at.N)
    assert.isAtLeast(end, before + 90_000)
    assert.isAtMost(end, after + 90_000)
    assert.deepEqual(found.delete_after, { N: String(Math.ceil(end / 1000) + SLACK) })
  })

  test('a lock without a TTL has neither end nor clean-up, whatever was there before', async ({
    assert,
  }) => {
    await put('endless', { owner: 'old', expires_at: '5', delete_after: '9' })
    assert.isTrue(await store().save('endless', 'me', null))
    assert.deepEqual(await item('endless'), { key: { S: 'endless' }, owner: { S: 'me' } })

    await store().extend('endless', 'me', 1000)
    assert.sameMembers(Object.keys((await item('endless'))!), [
      ...['key', 'owner', 'expires_at', 'delete_after'],
    ])
  })

  test('C3: extend keeps what others have added, and never revives', async ({ assert }) => {
    await store().save('extended', 'me', 60_000)
    await putItem(running.client, name, { ...(await item('extended'))!, note: { S: 'kept' } })
    await store().extend('extended', 'me', 120_000)
    const found = (await item('extended'))!
    assert.deepEqual(found.note, { S: 'kept' })
    assert.isAbove(Number(found.expires_at.N), Date.now() + 60_000)
    assert.equal(Number(found.delete_after.N), Math.ceil(Number(found.expires_at.N) / 1000) + SLACK)

    await put('over', { owner: 'me', expires_at: String(Date.now() - 1) })
    await assertNotOwned(assert, () => store().extend('over', 'me', 60_000))
    await assertNotOwned(assert, () => store().delete('over', 'me'))
    const over = await item('over')
    assert.equal(over?.owner.S, 'me')
  })

  test('a release leaves nothing', async ({ assert }) => {
    await store().save('released', 'me', 60_000)
    await store().delete('released', 'me')
    assert.isUndefined(await item('released'))
    await store().save('forced', 'me', null)
    await store().forceDelete('forced')
    assert.isUndefined(await item('forced'))
  })

  test('ends are compared as numbers, however many digits they have', async ({ assert }) => {
    const cases = { '999': false, '9': false, '99999999999999': true, '1e15': true }
    for (const [end, isLocked] of Object.entries(cases)) {
      await put('digits', { owner: 'other', expires_at: end })
      assert.equal(await store().exists('digits'), isLocked, end)
      assert.equal(await store().save('digits', 'me', 1000), !isLocked, end)
    }
  })

  test('C20: keys longer than a partition key are stored by digest', async ({ assert }) => {
    const longest = 'é'.repeat(1024)
    const longer = `${longest}e`
    for (const key of [longest, longer]) assert.isTrue(await store().save(key, 'me', 60_000))
    assert.isDefined(await item(longest))
    const digest = createHash('sha256').update(longer).digest('hex')
    assert.isDefined(await item(`sha256:${digest}`))
    for (const key of [longest, longer]) {
      assert.isFalse(await store().save(key, 'you', 60_000))
      await store().extend(key, 'me', 60_000)
      await store().delete(key, 'me')
      assert.isFalse(await store().exists(key))
    }
  })

  test('C18: an end that numbers of JavaScript cannot tell apart is the latest one', async ({
    assert,
  }) => {
    assert.isTrue(await store().save('for long', 'me', Number.MAX_VALUE))
    assert.isTrue(await store().exists('for long'))
    const found = await item('for long')
    assert.equal(found?.expires_at.N, String(Number.MAX_SAFE_INTEGER))
  })

  test('C1: the store of the peer and ours keep each other out, and know the same items', async ({
    assert,
  }) => {
    const peer = new PeerStore({ connection: running.client, table: { name } })
    const stores = [store(), peer]
    for (const [at, one] of stores.entries()) {
      const other = stores[1 - at]
      for (const ttl of [60_000, undefined]) {
        assert.isTrue(await one.save('shared', 'one', (ttl ?? null) as number))
        assert.isFalse(await other.save('shared', 'other', 60_000))
        assert.isTrue(await other.exists('shared'))
        assert.equal(await codeOf(other.delete('shared', 'other')), 'E_LOCK_NOT_OWNED')
        await other.extend('shared', 'one', 50)
        await until(async () => !(await one.exists('shared')))
        assert.isTrue(await other.save('shared', 'other', 60_000))
        assert.equal(await codeOf(one.delete('shared', 'one')), 'E_LOCK_NOT_OWNED')
        await one.delete('shared', 'other')
      }
    }
  })

  test("under the peer's own lock factory it is a store like any other", async ({ assert }) => {
    const peers = new PeerFactory(store() as never, { retry: { delay: 10 } })
    const ours = new LockFactory(store(), { retry: { delay: 10 } })
    const lock = peers.createLock('factories', 60_000)
    assert.isTrue(await lock.acquire())
    assert.isFalse(await ours.createLock('factories').acquireImmediately())
    await lock.extend(30_000)
    await lock.release()
    assert.deepEqual(await ours.createLock('factories').run(() => 'ran'), [true, 'ran'])
    assert.equal(await codeOf(lock.release()), 'E_LOCK_NOT_OWNED')
  })
})
