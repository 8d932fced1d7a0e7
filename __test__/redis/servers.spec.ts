import { existsSync } from 'node:fs'

import { test } from '@japa/runner'

import { startCluster, startSentinels, startStandalone, startTls } from './servers.js'
import { connect, startOwner, untilGone } from '../lifecycle/server_owner.js'
import { until } from '../unit/observe.js'

const START = ['redis/servers.mjs', 'startStandalone'] as const

test.group('Private servers | one server', () => {
  test('is killed, started again on the same port, paused, stopped', async ({ assert }) => {
    const server = await startStandalone({
      args: ['--appendonly', 'yes', '--appendfsync', 'always'],
    })
    assert.equal(await server.cli('SET', 'a key', 'value'), 'OK')
    const { pid, port } = server

    await server.kill()
    assert.isFalse(server.isRunning)
    await assert.rejects(() => server.cli('PING'), /ECONNREFUSED/)

    await server.restart()
    assert.equal(server.port, port)
    assert.notEqual(server.pid, pid)
    assert.equal(await server.cli('GET', 'a key'), 'value')

    server.pause()
    const ping = server.cli('PING')
    server.resume()
    assert.equal(await ping, 'PONG')

    server.pause()
    await server.stop()
    assert.isFalse(existsSync(server.folder))
  })

  test('keeps nothing on the disk unless asked', async ({ assert }) => {
    const server = await startStandalone()
    await server.cli('SET', 'key', 'value')
    await server.restart()
    assert.deepEqual(await server.send(['DBSIZE'], ['GET', 'key']), [0, null])
    await server.stop()
  })

  test('wants its password, and listens on a unix socket too', async ({ assert }) => {
    const server = await startStandalone({ requirepass: 'p w@/', unixSocket: true })
    assert.equal(decodeURIComponent(new URL(server.url).password), 'p w@/')
    assert.equal(await server.cli('PING'), 'PONG')
    assert.isTrue(existsSync(server.path!))
    await server.stop()
  })

  test('takes the port it is told to, many of them at once any free ones', async ({ assert }) => {
    const servers = await Promise.all(Array.from({ length: 5 }, () => startStandalone()))
    assert.lengthOf(new Set(servers.map(({ port }) => port)), 5)
    const [{ port }] = servers
    await Promise.all(servers.map((server) => server.stop()))

    const server = await startStandalone({ port })
    assert.equal(server.port, port)
    await assert.rejects(() => startStandalone({ port }), /the Redis server ended/)
    await server.stop()
  })

  test('ends with who started it: {$self}')
    .with(['process.exit(1)', 'throw new Error("as it has to be")', 'await 0'])
    .run(async (_, then) => {
      const owner = await startOwner(START, then)
      await owner.exit
      await until(() => !existsSync(owner.folder))
      await untilGone(owner.port)
    })

  test('ends with who started it: {$self}')
    .with(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)
    .run(async (_, signal) => {
      const owner = await startOwner(START, 'setInterval(() => {}, 1000)')
      await connect(owner.port)
      owner.child.kill(signal)
      await owner.exit
      await until(() => !existsSync(owner.folder))
      await untilGone(owner.port)
    })
})

test.group('Private servers | several of them', () => {
  test('TLS: the certificate is signed by its authority', async ({ assert }) => {
    const server = await startTls()
    assert.match(server.url, /^rediss:/)
    assert.equal(await server.cli('PING'), 'PONG')
    await server.stop()
  })

  test('sentinels: a planned failover and back, an unplanned one', async ({ assert }) => {
    const group = await startSentinels()
    const portOfPrimary = async () => {
      const { port } = await group.currentPrimary()
      return port
    }
    assert.equal(await portOfPrimary(), group.primary.port)

    assert.equal(await group.failover(), group.replica)
    assert.equal(await portOfPrimary(), group.replica.port)
    await assert.rejects(() => group.primary.cli('SET', 'key', '1'), /^READONLY/)
    assert.equal(await group.failover(), group.primary)

    const killed = await group.killPrimary()
    assert.equal(killed, group.primary)
    assert.equal(await group.replica.cli('SET', 'key', '1'), 'OK')
    await killed.restart()
    assert.equal(await group.settled(), group.replica)
    await group.stop()
  })

  test('cluster: a slot on its way answers ASK, then MOVED', async ({ assert }) => {
    const cluster = await startCluster()
    const slot = await cluster.slotOf('key')
    const source = await cluster.ownerOf(slot)
    const target = cluster.nodes[(cluster.nodes.indexOf(source) + 1) % cluster.nodes.length]
    await source.cli('SET', 'key', 'value')

    const move = await cluster.beginMove(slot, source, target)
    assert.equal(await source.cli('GET', 'key'), 'value')
    assert.equal(await move.moveKeys(), 1)
    await assert.rejects(() => source.cli('GET', 'key'), new RegExp(`^ASK ${slot} `))
    await assert.rejects(() => target.cli('GET', 'key'), new RegExp(`^MOVED ${slot} `))
    assert.deepEqual(await target.send(['ASKING'], ['GET', 'key']), ['OK', 'value'])

    await move.finish()
    await assert.rejects(() => source.cli('GET', 'key'), new RegExp(`^MOVED ${slot} `))
    assert.equal(await target.cli('GET', 'key'), 'value')
    assert.equal(await cluster.ownerOf(slot), target)

    await cluster.reshard(10)
    await cluster.settled()
    await cluster.stop()
  })
})
