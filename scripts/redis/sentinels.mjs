// A primary, a replica, and three sentinels that watch over them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { commonArguments, HOST, startServer, startStandalone, until } from './server.mjs'

const NAME = 'mymaster'

// Milliseconds. Sentinel's own defaults make a failover take the better part of a minute.
const DOWN_AFTER = 1000
// After a failover the sentinels wait for twice this before they start another by themselves.
const FAILOVER_TIMEOUT = 3000

// Milliseconds between two talks with the servers and with each other. The last one is longer: four of its kind is how
// long a sentinel waits before it turns a primary that it doesn't know of into a replica, and one that has just promoted
// it may take a second to notice and to tell the others. Older versions don't know the command.
const PERIODS = Object.entries({
  'info-period': 200,
  'ping-period': 200,
  'ask-period': 200,
  'publish-period': 600,
}).flat()

/** As a configuration file wants a text that may have blanks in it. */
function quoted(text) {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

async function startSentinel(primary, { requirepass, sentinelPassword }) {
  const sentinel = await startServer({
    password: sentinelPassword,
    argv: ({ folder, port }) => {
      const path = join(folder, 'sentinel.conf')
      const lines = [
        `port ${port}`,
        `bind ${HOST}`,
        `dir ${folder}`,
        `sentinel monitor ${NAME} ${HOST} ${primary.port} 2`,
        `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER}`,
        `sentinel failover-timeout ${NAME} ${FAILOVER_TIMEOUT}`,
        ...(requirepass === undefined ? [] : [`sentinel auth-pass ${NAME} ${quoted(requirepass)}`]),
        ...(sentinelPassword === undefined
          ? []
          : [
              `requirepass ${quoted(sentinelPassword)}`,
              `sentinel sentinel-pass ${quoted(sentinelPassword)}`,
            ]),
      ]
      writeFileSync(path, `${lines.join('\n')}\n`)
      return [path, '--sentinel']
    },
  })
  await sentinel.cli('SENTINEL', 'DEBUG', ...PERIODS).catch(() => {})
  return sentinel
}

function fieldsOf(reply) {
  return Object.fromEntries(
    reply.flatMap((name, index) => (index % 2 === 0 ? [[name, reply[index + 1]]] : []))
  )
}

/** A condition that doesn't hold when it can't be checked: a server that changes its role closes its connections. */
function unlessBroken(condition) {
  return () => condition().catch(() => false)
}

class Sentinels {
  name = NAME

  constructor(servers, sentinels) {
    this.servers = servers
    ;[this.primary, this.replica] = servers
    this.sentinels = sentinels
  }

  async currentPrimary() {
    const [reply] = await this.sentinels[0].send(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME])
    return { host: reply[0], port: Number(reply[1]) }
  }

  async primaryServer() {
    const { port } = await this.currentPrimary()
    return this.servers.find((server) => server.port === port)
  }

  async failover() {
    const before = await this.settled()
    await until('the sentinels agree to a failover', () =>
      this.sentinels[0].cli('SENTINEL', 'FAILOVER', NAME).then(
        () => true,
        () => false
      )
    )
    await this.#promotedAfter(before)
    return this.settled()
  }

  async killPrimary() {
    const before = await this.settled()
    await before.kill()
    await this.#promotedAfter(before)
    return before
  }

  /** Resolves, to the primary, when all sentinels agree on it and all servers that run follow it. */
  async settled() {
    let primary
    await until(
      'the sentinels agree on a primary that all follow',
      unlessBroken(async () => {
        primary = await this.primaryServer()
        if (!primary?.isRunning) return false
        const [role] = await primary.send(['ROLE'])
        if (role[0] !== 'master') return false
        for (const server of this.servers) {
          if (server === primary || !server.isRunning) continue
          const [[kind, , port, state]] = await server.send(['ROLE'])
          if (kind !== 'slave' || port !== primary.port || state !== 'connected') return false
        }
        for (const sentinel of this.sentinels) {
          const [reply] = await sentinel.send(['SENTINEL', 'MASTER', NAME])
          const fields = fieldsOf(reply)
          const isKnown = Number(fields.port) === primary.port && fields.flags === 'master'
          if (!isKnown || fields['num-other-sentinels'] !== String(this.sentinels.length - 1)) {
            return false
          }
          const [replicas] = await sentinel.send(['SENTINEL', 'REPLICAS', NAME])
          const healthy = replicas.map(fieldsOf).filter((replica) => replica.flags === 'slave')
          const running = this.servers.filter((server) => server !== primary && server.isRunning)
          if (healthy.length < running.length) return false
          if (healthy.some((replica) => replica['master-link-status'] !== 'ok')) return false
        }
        return true
      })
    )
    return primary
  }

  async stop() {
    await Promise.all(this.sentinels.map((sentinel) => sentinel.stop()))
    await Promise.all(this.servers.map((server) => server.stop()))
  }

  #promotedAfter(before) {
    return until(
      'another primary was promoted',
      unlessBroken(async () => {
        const primary = await this.primaryServer()
        if (primary === undefined || primary === before) return false
        const [role] = await primary.send(['ROLE'])
        return role[0] === 'master'
      })
    )
  }
}

export async function startSentinels(options = {}) {
  const { requirepass, sentinelPassword } = options
  const settings = [
    // A replica is synchronised at once.
    ...['--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0'],
    // It would be read after a restart.
    ...['--rdb-del-sync-files', 'yes'],
    ...(requirepass === undefined ? [] : ['--masterauth', requirepass]),
  ]
  const primary = await startStandalone({ requirepass, args: settings })
  const replica = await startServer({
    password: requirepass,
    argv: (server) => [
      ...commonArguments(server),
      ...(requirepass === undefined ? [] : ['--requirepass', requirepass]),
      ...settings,
      ...['--replicaof', HOST, primary.port],
    ],
  })
  const sentinels = []
  for (let index = 0; index < 3; index++) {
    sentinels.push(await startSentinel(primary, { requirepass, sentinelPassword }))
  }
  const group = new Sentinels([primary, replica], sentinels)
  await group.settled()
  return group
}
