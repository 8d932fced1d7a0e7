/**
 * What a store sends to Redis and when: connections, commands, and what is left when nobody waits any longer.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { test } from '@japa/runner'
import { LockFactory, Verrou } from 'loquet'
import { redisStore, RedisStore } from 'loquet/drivers/redis'

import { NO_POLL, openFactory, withServer } from './outage.js'
import type { RedisServer } from './servers.js'
import { isPending, rejectionOf, sleep, until } from '../unit/observe.js'

/** How many connections there are besides the one that asks. */
async function connections(server: RedisServer): Promise<number> {
  const list = await server.cli('CLIENT', 'LIST')
  return list.trim().split('\n').length - 1
}

/** How often each command has been called, those aside that connections begin with, and this one. */
async function commands(server: RedisServer): Promise<Record<string, number>> {
  const stats = await server.info('commandstats')
  return Object.fromEntries(
    Object.entries(stats).flatMap(([name, fields]) => {
      const command = name.replace('cmdstat_', '')
      const calls = Number(/calls=(\d+)/.exec(fields)![1])
      return /^(info|config|client|hello|auth|select|ping|keys|pubsub|script)/.test(command)
        ? []
        : [[command, calls]]
    })
  )
}

async function commandsOf(
  server: RedisServer,
  work: () => Promise<unknown>
): Promise<Record<string, number>> {
  await server.cli('CONFIG', 'RESETSTAT')
  await work()
  return commands(server)
}

function sumOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

test.group('Redis traffic | connections', () => {
  test('it connects with the first lock, and stores with the same settings share it', async ({
    assert,
  }) => {
    await withServer({}, async (server) => {
      const factories = Array.from({ length: 20 }, () => openFactory(server))
      await sleep(50)
      assert.equal(await connections(server), 0)
      await Promise.all(factories.map((one, index) => one.createLock(`${index}`).run(() => {})))
      assert.equal(await connections(server), 1)

      // One more for wake-ups while somebody waits.
      const holder = factories[0].createLock('k')
      await holder.acquire()
      const waits = factories.map((one) => one.createLock('k').run(() => {}, { retry: NO_POLL }))
      await sleep(50)
      assert.isAtMost(await connections(server), 2)
      await holder.release()
      await Promise.all(waits)

      const apart = openFactory(server, { connectionName: 'apart' })
      await apart.createLock('k').run(() => {})
      assert.isAtMost(await connections(server), 3)
      const list = await server.cli('CLIENT', 'LIST')
      assert.include(list, 'name=apart')
    })
  })

  test('close ends the connection; what is held can be released all the same, and it ends again', async ({
    assert,
  }) => {
    await withServer({}, async (server) => {
      const { host, port } = server
      const open = () =>
        new Verrou({ default: 'redis', stores: { redis: { driver: redisStore({ host, port }) } } })
      const [one, two] = [open(), open()]
      const lock = one.createLock('k')
      await lock.acquire()
      await two.createLock('other').acquire()
      const waiting = rejectionOf(one.createLock('k').acquire({ retry: NO_POLL }))
      await sleep(30)
      await one.close()
      const { code } = await waiting
      assert.equal(code, 'E_LOCK_CLOSED')
      // The other one still uses it.
      assert.isTrue(await two.createLock('third').acquire())
      await two.close()
      await until(async () => (await connections(server)) === 0)
      await lock.release()
      assert.equal(await server.cli('EXISTS', 'k'), '0')
      await until(async () => (await connections(server)) === 0)
    })
  })

  test('a store that nobody refers to any longer gives its connection back', async ({ assert }) => {
    await withServer({}, async (server) => {
      // Nothing of it may stay in a variable of the test.
      const useAndForget = async () => {
        const { host, port } = server
        const store = new RedisStore({ host, port, connectionName: 'forgotten' })
        await new LockFactory(store).createLock('k').run(() => {})
      }
      await useAndForget()
      assert.equal(await connections(server), 1)
      setFlagsFromString('--expose-gc')
      const collectGarbage = runInNewContext('gc') as () => void
      await until(async () => {
        collectGarbage()
        return (await connections(server)) === 0
      })
    })
  })
})

test.group('Redis traffic | commands', () => {
  test('an acquire, an extension and a release are one command each', async ({ assert }) => {
    await withServer({}, async (server) => {
      const factory = openFactory(server)
      await factory.createLock('warm').run((lock) => lock.extend())
      const counts = await commandsOf(server, async () => {
        for (let index = 0; index < 50; index++) {
          await factory.createLock(`key ${index % 3}`).run((lock) => lock.extend())
        }
      })
      // What scripts call is counted too.
      assert.equal(counts.set, 50, JSON.stringify(counts))
      assert.equal(counts.evalsha, 100, JSON.stringify(counts))
      assert.notProperty(counts, 'eval')
    })
  })

  test('C8: a hand-over within a process is one command', async ({ assert }) => {
    await withServer({}, async (server) => {
      const factory = openFactory(server)
      await Promise.all([1, 2, 3].map(() => factory.createLock('k').run(() => {})))
      const counts = await commandsOf(server, async () => {
        const runs = Array.from({ length: 100 }, () =>
          factory.createLock('k').run(() => sleep(1), { retry: NO_POLL })
        )
        await Promise.all(runs)
      })
      const asked = (counts.evalsha ?? 0) + (counts.eval ?? 0)
      assert.isBelow(asked, 160, JSON.stringify(counts))
    })
  })

  test('waiting costs nothing while nothing happens, polls aside', async ({ assert }) => {
    await withServer({}, async (server) => {
      const factories = ['one', 'two'].map((connectionName) =>
        openFactory(server, { connectionName })
      )
      const holder = factories[0].createLock('k', 60_000)
      await holder.acquire()
      const waits = Array.from({ length: 40 }, (_, index) =>
        factories[index % 2].createLock('k').run(() => {}, { retry: NO_POLL })
      )
      assert.isTrue(await isPending(waits[0]))
      await sleep(100)
      const counts = await commandsOf(server, () => sleep(300))
      assert.equal(sumOf(counts), 0, JSON.stringify(counts))
      await holder.release()
      await Promise.all(waits)
    })
  })

  test('C13: when nobody waits any longer, no subscription, no line and no key is left', async ({
    assert,
  }) => {
    await withServer({}, async (server) => {
      const factories = ['one', 'two', 'three'].map((connectionName) =>
        openFactory(server, { connectionName })
      )
      const holder = factories[0].createLock('k', 60_000)
      await holder.acquire()
      const abort = new AbortController()
      const waits = factories.flatMap((factory) => [
        factory.createLock('k').acquire({ retry: { ...NO_POLL, timeout: 150 } }),
        factory.createLock('k').acquire({ retry: { attempts: 3, delay: 50 } }),
        factory
          .createLock('k')
          .acquire({ retry: NO_POLL, signal: abort.signal })
          .catch(() => false),
      ])
      await until(async () => (await server.cli('PUBSUB', 'CHANNELS')) !== '')
      abort.abort()
      assert.notInclude(await Promise.all(waits), true)
      await until(async () => (await server.cli('PUBSUB', 'CHANNELS')) === '')
      await until(async () => (await server.cli('KEYS', '*')) === 'k')
      await holder.release()
      assert.equal(await server.cli('KEYS', '*'), '')
    })
  })
})
