/**
 * What goes wrong below a store is told apart, and a request that may have been performed is found out about. Each with a
 * server that tells why a condition failed, as DynamoDB does, and with one that doesn't.
 */
import { test } from '@japa/runner'
import { E_LOCK_STORAGE_ERROR } from 'loquet'
import { DynamoDBStore } from 'loquet/drivers/dynamodb'
import { inspect } from 'node:util'

import { assertNotOwned, errorOf, millisOf, rejectionOf, until } from '../unit/observe.js'
import { broken, once, refusal, replyLost, scripted, telling } from './scripted.js'
import type { Script } from './scripted.js'
import { itemOf, newTable, putItem, startRunning, storeOf } from './tables.js'
import type { Running } from './tables.js'

/** Tokens, keys and signatures that the service quotes. */
const SECRET = 'FwoGZXIvYXdzEBYaDSecretToken'
const SIGNATURE =
  'The request signature we calculated does not match. The Canonical String for this request should have been ' +
  `'POST\n/\n\nhost:dynamodb\nx-amz-date:20260101\nx-amz-security-token:${SECRET}\n\nhost'`

/** Milliseconds for calls that are to fail. */
const SHORT = 300

const FAILURES: { title: string; fails: () => Promise<never> | unknown; says: RegExp }[] = [
  {
    title: 'throttled',
    fails: () => refusal('ProvisionedThroughputExceededException'),
    says: /throttles the requests to the table "[^"]+" \(Provisioned.*capacity/,
  },
  {
    title: 'throttled on demand',
    fails: () => refusal('ThrottlingException'),
    says: /throttles the requests/,
  },
  {
    title: 'denied',
    fails: () => refusal('AccessDeniedException', 'not authorized to perform: dynamodb:UpdateItem'),
    says: /denies access to the table .*dynamodb:UpdateItem.*docs\/dynamodb\.md/,
  },
  {
    title: 'an unknown caller',
    fails: () => refusal('UnrecognizedClientException', 'The security token is invalid.'),
    says: /doesn't know the caller .*credentials/,
  },
  {
    title: 'a wrong signature',
    fails: () => refusal('InvalidSignatureException', SIGNATURE),
    says: /caller/,
  },
  {
    title: 'nobody there',
    fails: () => {
      throw broken('ECONNREFUSED')
    },
    says: /can't be reached .*ECONNREFUSED.*region and the endpoint/,
  },
  {
    title: 'an unknown host',
    fails: () => {
      throw broken('ENOTFOUND')
    },
    says: /can't be reached .*ENOTFOUND/,
  },
  {
    title: 'a failure of the service',
    fails: () => refusal('InternalServerError', 'internal', 500),
    says: /DynamoDB failed \(InternalServerError: internal\)/,
  },
  {
    title: 'a refused request',
    fails: () => refusal('ValidationException', 'One or more parameter values were invalid'),
    says: /DynamoDB failed \(ValidationException: One or more/,
  },
]

test.group('DynamoDB | errors', () => {
  test('C21, C22: {title} is a storage error with its cause, from every call and in time')
    .with(FAILURES)
    .run(async ({ assert }, { fails, says }) => {
      const { client } = scripted(async () => fails() as never, { maxAttempts: 2 })
      const store = storeOf({ client }, { commandTimeout: SHORT })
      for (const call of [
        () => store.save('key', 'me', 1000),
        () => store.exists('key'),
        () => store.delete('key', 'me'),
        () => store.extend('key', 'me', 1000),
        () => store.forceDelete('key'),
      ]) {
        let error: any
        const millis = await millisOf(async () => {
          error = await rejectionOf(call())
        })
        assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
        assert.match(error.message, says)
        assert.instanceOf(error.cause, Error)
        assert.notInclude(inspect(error, { depth: 10 }), SECRET)
        assert.isBelow(millis, SHORT + 6_000)
      }
    })

  test('C21: of our own requests that fail, only those are tried again where it may help', async ({
    assert,
  }) => {
    const attemptsAt = async (fails: () => unknown) => {
      const { client, sent } = scripted(async () => fails() as never, { maxAttempts: 1 })
      await rejectionOf(storeOf({ client }, { commandTimeout: SHORT }).exists('key'))
      return sent.length
    }
    assert.equal(await attemptsAt(() => refusal('AccessDeniedException')), 1)
    assert.equal(await attemptsAt(() => refusal('ValidationException')), 1)
    assert.isAbove(await attemptsAt(() => refusal('ThrottlingException')), 2)
    assert.isAbove(await attemptsAt(() => refusal('InternalServerError', '', 500)), 2)
  })

  test('C22: a client that never answers, whatever it does with the signal', async ({ assert }) => {
    for (const heeds of [true, false]) {
      const client = {
        send: (_: object, { abortSignal }: { abortSignal: AbortSignal }) =>
          new Promise<never>((_resolve, reject) => {
            if (heeds) abortSignal.addEventListener('abort', () => reject(abortSignal.reason))
          }),
      }
      const store = storeOf({ client: client as never }, { commandTimeout: 50 })
      const error = await rejectionOf(store.save('key', 'me', 1000))
      assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
      assert.include(error.message, 'no answer from DynamoDB within 50 ms')
      assert.instanceOf(await rejectionOf(store.exists('key')), E_LOCK_STORAGE_ERROR)
    }
  })

  test('C22: a client that throws instead of rejecting crashes nobody', async ({ assert }) => {
    const client = {
      send: () => {
        throw new TypeError('no such thing')
      },
    }
    const store = storeOf({ client: client as never })
    const error = await rejectionOf(store.exists('key'))
    assert.instanceOf(error, E_LOCK_STORAGE_ERROR)
    assert.equal(error.cause.message, 'no such thing')
  })

  test('C19: an option that cannot be used is named, and no client is shown')
    .with([
      { options: undefined, says: /options of the DynamoDB lock store/ },
      { options: {}, says: /"connection".*got undefined/ },
      { options: { connection: { secretAccessKey: SECRET } }, says: /"connection".*got object/ },
      { options: { table: undefined }, says: /option "table" of the DynamoDB lock store/ },
      { options: { table: {} }, says: /option "table\.name".*got undefined/ },
      { options: { table: { name: 'no' } }, says: /"table\.name".*got 'no'/ },
      { options: { table: { name: 'a b c' } }, says: /"table\.name"/ },
      { options: { table: { name: 'locks', autoCreate: 1 } }, says: /"table\.autoCreate".*got 1/ },
      { options: { commandTimeout: 0 }, says: /"commandTimeout".*got 0/ },
      { options: { commandTimeout: '5s' }, says: /"commandTimeout".*got '5s'/ },
    ] as { options: object | undefined; says: RegExp }[])
    .run(async ({ assert }, { options, says }) => {
      const usual = { connection: { send: async () => ({}) }, table: { name: 'locks' } }
      const isAlone = options === undefined || Object.keys(options).length === 0
      const given = isAlone ? options : { ...usual, ...options }
      const error = await errorOf(() => new DynamoDBStore(given as never))
      assert.equal(error.code, 'E_INVALID_ARGUMENTS_EXCEPTION')
      assert.match(error.message, says)
      assert.notInclude(error.message, SECRET)
    })
})

for (const tells of [true, false]) {
  const title = tells ? 'a server that tells' : 'a server that does not tell'
  test.group(`DynamoDB | doubts | ${title}`, (group) => {
    let running: Running
    const name = newTable()
    group.setup(async () => {
      running = await startRunning(name)
      return () => running.stop()
    })
    const behind = (script: Script, maxAttempts = 3) => {
      const { server } = running
      return scripted(tells ? telling(server, script) : script, { server, maxAttempts })
    }
    const storeBehind = (script: Script, maxAttempts?: number) =>
      storeOf(behind(script, maxAttempts), { name })
    const item = (key: string) => itemOf(running.client, name, key)

    test('C6: an acquire whose reply was lost is ours, whoever tries again', async ({ assert }) => {
      for (const maxAttempts of [1, 3]) {
        for (const ttl of [60_000, null]) {
          const key = `saved ${maxAttempts} ${ttl}`
          const store = storeBehind(once('UpdateItem', replyLost), maxAttempts)
          assert.isTrue(await store.save(key, 'me', ttl))
          assert.isFalse(await storeOf(running, { name }).save(key, 'you', 1000))
          // Another acquisition of the same owner isn't a repeated one.
          assert.isFalse(await store.save(key, 'me', ttl))
          await store.delete(key, 'me')
          assert.isFalse(await store.exists(key))
        }
      }
    })

    test('C1, C6: an acquire that was lost on its way, and that somebody else was faster than, is not', async ({
      assert,
    }) => {
      const other = storeOf(running, { name })
      const store = storeBehind(
        once('UpdateItem', async () => {
          await other.save('faster', 'other', 60_000)
          throw broken('ECONNRESET')
        })
      )
      assert.isFalse(await store.save('faster', 'me', 60_000))
      await other.delete('faster', 'other')
    })

    test('C1, C6: an acquire that comes late, after the release, is refused', async ({
      assert,
    }) => {
      for (const ttl of [60_000, null]) {
        const key = `late ${ttl}`
        let late: (() => Promise<unknown>) | undefined
        const store = storeBehind(
          once('UpdateItem', async ({ pass }) => {
            late = pass
            throw broken('ECONNRESET')
          })
        )
        const other = storeOf(running, { name })
        assert.isTrue(await store.save(key, 'me', ttl))
        await store.delete(key, 'me')
        assert.isFalse(await other.exists(key))
        assert.isTrue(await other.save(key, 'other', null))
        await other.delete(key, 'other')
        await late!()
        assert.isFalse(await other.exists(key))
        assert.isTrue(await other.save(key, 'next', null))
        await other.delete(key, 'next')
      }
    })

    test('C6: an acquire of which nobody hears again is taken back, should it come after that too', async ({
      assert,
    }) => {
      let late: (() => Promise<unknown>) | undefined
      const script: Script = once('UpdateItem', ({ pass, signal }) => {
        late = pass
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        })
      })
      const store = storeOf(behind(script), { name, commandTimeout: 300 })
      const other = storeOf(running, { name })
      assert.instanceOf(await rejectionOf(store.save('lost', 'me', null)), E_LOCK_STORAGE_ERROR)
      await until(async () => {
        const found = await item('lost')
        return found?.refused_until !== undefined
      })
      assert.isTrue(await other.save('lost', 'other', 60_000))
      await other.delete('lost', 'other')
      await late!()
      assert.isFalse(await other.exists('lost'))
    })

    test('C3, C6: a release whose reply was lost is one', async ({ assert }) => {
      const store = storeBehind(once('DeleteItem', replyLost))
      await store.save('released', 'me', 60_000)
      await store.delete('released', 'me')
      assert.isFalse(await store.exists('released'))
      await assertNotOwned(assert, () => store.delete('released', 'me'))
    })

    test('C3, C6: the same where something late has to be refused, by several', async ({
      assert,
    }) => {
      // The acquire leaves a mark, the release ends the lease with the second of its requests, and somebody else's
      // acquire leaves a later mark before the release finds out what it has done.
      const other = storeBehind(once('UpdateItem', replyLost))
      let updates = 0
      const store = storeBehind(async (met) => {
        if (met.operation === 'UpdateItem') updates++
        if (met.operation !== 'UpdateItem' || ![1, 4].includes(updates)) return met.pass()
        await met.pass()
        if (updates === 4) await putLaterMark()
        throw broken('ECONNRESET')
      })
      const putLaterMark = async () => {
        const left = (await item('marked'))!
        const refused = { N: String(Date.now()) }
        await putItem(running.client, name, { ...left, refused_until: refused })
      }
      assert.isTrue(await store.save('marked', 'me', null))
      await store.delete('marked', 'me')
      assert.equal(updates, 5)
      await until(async () => other.save('marked', 'other', 60_000))
      await other.delete('marked', 'other')
    })

    test('C3, C6: of a lease that was over it is none', async ({ assert }) => {
      for (const isTaken of [false, true]) {
        const key = `over ${isTaken}`
        const store = storeBehind(once('DeleteItem', replyLost))
        assert.isTrue(await store.save(key, 'me', 60_000))
        await store.extend(key, 'me', 30)
        await until(async () => !(await store.exists(key)))
        if (isTaken) await storeOf(running, { name }).save(key, 'other', 60_000)
        await assertNotOwned(assert, () => store.delete(key, 'me'))
      }
    })

    test('C3: what was throttled first is no excuse', async ({ assert }) => {
      const store = storeBehind(once('DeleteItem', async () => refusal('ThrottlingException')))
      await assertNotOwned(assert, () => store.delete('never held', 'me'))
      const extending = storeBehind(once('UpdateItem', async () => refusal('ThrottlingException')))
      await assertNotOwned(assert, () => extending.extend('never held', 'me', 1000))
      await storeOf(running, { name }).save('held', 'me', null)
      const saving = storeBehind(once('UpdateItem', async () => refusal('ThrottlingException')))
      assert.isFalse(await saving.save('held', 'me', null))
    })

    test('C6: an extension whose reply was lost is one', async ({ assert }) => {
      await storeOf(running, { name }).save('extended', 'me', 60_000)
      const store = storeBehind(once('UpdateItem', replyLost))
      await store.extend('extended', 'me', 120_000)
      const found = await item('extended')
      assert.isAbove(Number(found!.expires_at.N), Date.now() + 60_000)
    })

    test('C1: a forced release whose reply was lost does not hit who came next', async ({
      assert,
    }) => {
      const other = storeOf(running, { name })
      await other.save('forced', 'old', null)
      const store = storeBehind(
        once('DeleteItem', async ({ pass }) => {
          await pass()
          await other.save('forced', 'next', null)
          throw broken('ECONNRESET')
        })
      )
      await store.forceDelete('forced')
      const found = await item('forced')
      assert.equal(found?.owner.S, 'next')
    })

    test('what is left to refuse late requests goes when the next release finds it old', async ({
      assert,
    }) => {
      const old = String(Date.now() - 120_000)
      const left = { key: { S: 'old' }, owner: { S: 'gone' }, expires_at: { N: old } }
      await putItem(running.client, name, { ...left, refused_until: { N: old } })
      const store = storeBehind(({ pass }) => pass())
      assert.isTrue(await store.save('old', 'me', 60_000))
      await store.delete('old', 'me')
      assert.isUndefined(await item('old'))
    })
  })
}
