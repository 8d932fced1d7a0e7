/**
 * Opens stores on Redis for the members of a fleet.
 */
import { Cluster, Redis } from 'ioredis'
import type { ClusterNode, RedisOptions } from 'ioredis'
import type { LockStore, RedisConnection, RedisStoreOptions } from 'loquet/types'

import type { Peer, Way } from '../../fleet/orders.js'

/** How Redis is reached. Verrou always does by an ioredis instance. */
export type RedisWay =
  /** loquet's own options. */
  | { kind: 'options'; options: RedisStoreOptions }
  /** An ioredis instance. */
  | { kind: 'instance'; options: RedisOptions }
  /** An ioredis cluster. */
  | { kind: 'cluster'; nodes: ClusterNode[] }

/** What a member is told. */
export function wayTo(settings: RedisWay): Way {
  return { opener: 'redis/fleet/open.ts', settings }
}

function connect(way: Exclude<RedisWay, { kind: 'options' }>): Redis | Cluster {
  const client =
    way.kind === 'cluster'
      ? new Cluster(way.nodes)
      : // Verrou waits for as long as its client does.
        new Redis({ maxRetriesPerRequest: null, ...way.options })
  // It is seen in the commands that fail.
  client.on('error', () => {})
  return client
}

export async function openStore(
  peer: Peer,
  way: RedisWay
): Promise<{ store: LockStore; close?: () => void }> {
  const connection = way.kind === 'options' ? undefined : connect(way)
  const close = () => connection?.disconnect()
  if (peer === 'verrou') {
    if (way.kind !== 'instance') throw new Error('Verrou takes an ioredis instance')
    const { redisStore } = await import('@verrou/core/drivers/redis')
    return { store: redisStore({ connection: connection as Redis }).factory(), close }
  }
  const { redisStore } = await import('loquet/drivers/redis')
  const options =
    way.kind === 'options' ? way.options : { connection: connection as RedisConnection }
  return { store: redisStore(options).factory(), close }
}
