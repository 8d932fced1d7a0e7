/**
 * The kinds of Redis that the contract is tested on, and how a store is told where it is.
 */
import { RedisStore } from 'loquet/drivers/redis'
import type { RedisStoreOptions } from 'loquet/types'

import { startCluster, startSentinels, startStandalone, startTls } from './servers.js'

/** Options that name a server in words, not by an instance of ioredis. */
export type NamedOptions = Exclude<RedisStoreOptions, { connection: unknown }>

export interface Running {
  /** What a store needs to know, with what is put before each key. */
  options: (keyPrefix: string) => NamedOptions
  stop: () => Promise<void>
}

/** How each kind is started. */
export const TOPOLOGIES = {
  standalone: async (): Promise<Running> => {
    const server = await startStandalone()
    const { host, port } = server
    return { options: (keyPrefix) => ({ host, port, keyPrefix }), stop: () => server.stop() }
  },

  TLS: async (): Promise<Running> => {
    const server = await startTls({ requirepass: 'the password' })
    const { url, ca } = server
    return { options: (keyPrefix) => ({ url, tls: { ca }, keyPrefix }), stop: () => server.stop() }
  },

  sentinels: async (): Promise<Running> => {
    const password = 'the password'
    const group = await startSentinels({ requirepass: password })
    const sentinels = addresses(group.sentinels)
    return {
      options: (keyPrefix) => ({ sentinels, name: group.name, password, keyPrefix }),
      stop: () => group.stop(),
    }
  },

  cluster: async (): Promise<Running> => {
    const cluster = await startCluster()
    const clusters = addresses(cluster.nodes)
    return {
      options: (keyPrefix) => ({ clusters, clusterOptions: { keyPrefix } }),
      stop: () => cluster.stop(),
    }
  },
}

export type Topology = keyof typeof TOPOLOGIES

function addresses(servers: { host: string; port: number }[]) {
  return servers.map(({ host, port }) => ({ host, port }))
}

let spaces = 0

/** A store with keys of its own. */
export function storeOf(running: Running): RedisStore {
  return new RedisStore(running.options(newPrefix()))
}

/** What nobody else puts before a key. */
export function newPrefix(): string {
  return `${process.pid}:${++spaces}:`
}
