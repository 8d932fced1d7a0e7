/**
 * Stores on the app's own client whose connections break, or whose server doesn't answer.
 */
import { test } from '@japa/runner'
import { LockFactory } from 'loquet'

import { registerPauses } from '../contract/outages.js'
import type { OutageOptions } from '../contract/outages.js'
import { about, onStage, registerLostReplies, STORAGE } from '../faults/lost_replies.js'
import type { FaultProxy } from '../faults/proxy.js'
import { errorOf, until } from '../unit/observe.js'
import { BACKENDS, configOf, TABLE } from './backends.js'
import { CLIENTS } from './own_clients.js'
import type { ClientName, OwnClient } from './own_clients.js'
import type { KnexConfig } from './topologies.js'

/** A database of its own, and clients that end with it. */
async function start(name: ClientName) {
  const { server, config, leases } = await BACKENDS.Postgres()
  const clients: OwnClient[] = []
  const driver = (place: KnexConfig, { commandTimeout }: OutageOptions = {}) => {
    const client = CLIENTS[name](place)
    clients.push(client)
    return client.driver({ tableName: TABLE, commandTimeout })
  }
  return {
    server: server!,
    driver: (options: OutageOptions) => driver(config, options),
    openAt: (place: KnexConfig, options?: OutageOptions) =>
      new LockFactory(driver(place, options).factory()),
    open: (options?: OutageOptions) => new LockFactory(driver(config, options).factory()),
    remains: async () => {
      const found = await leases()
      return found.map(({ key }) => key)
    },
    stop: async () => {
      // Nobody waits for what hangs.
      for (const client of clients) client.destroy().catch(() => {})
      await server!.stop()
    },
  }
}

for (const name of Object.keys(CLIENTS) as ClientName[]) {
  registerPauses(`${name}, Postgres`, async () => {
    const { server, ...others } = await start(name)
    return {
      ...others,
      kill: () => server.kill(),
      restart: () => server.restart(),
      pause: () => server.pause(),
      resume: () => server.resume(),
    }
  })
}

// What becomes of a reply that is lost is up to `DatabaseStore`, whatever the client.
test.group('KyselyAdapter, Postgres | lost replies', () => {
  const startBackend = async () => {
    const { server, openAt, remains, stop } = await start('KyselyAdapter')
    const open = (proxy: FaultProxy) => openAt(configOf(server, proxy), { commandTimeout: 1000 })
    return { server, open, remains, stop }
  }
  registerLostReplies(startBackend, { isFenced: false })

  test('C6: an acquire that comes to the server after its connection is lost does not stay', async ({
    assert,
  }) => {
    await onStage(startBackend, async ({ backend, proxy }) => {
      const factory = backend.open(proxy)
      await factory.createLock('first').runImmediately(() => {})
      const lock = factory.createLock('k', null)
      const happened = proxy.next('request-stray', about({ owner: lock.getOwner() }))
      const error = await errorOf(() => lock.acquire())
      assert.equal((error as { code?: string }).code, STORAGE)
      await happened
      await until(async () => {
        const remains = await backend.remains()
        return remains.length > 0
      })
      assert.isTrue(await factory.createLock('k').acquire({ retry: { delay: 50 } }))
    })
  })
})
