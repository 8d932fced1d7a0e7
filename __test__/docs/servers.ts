/**
 * Private servers for the samples, started when the first program needs them.
 */
import { startMariadb, startPostgres } from '../database/servers.js'
import { startDynamoDb } from '../dynamodb/servers.js'
import { startStandalone } from '../redis/servers.js'
import type { Addresses, ServerName } from './program.js'

interface Server {
  url: string
  stop(): Promise<void>
}

const STARTS: Record<ServerName, () => Promise<Server>> = {
  redis: startStandalone,
  postgres: startPostgres,
  mysql: startMariadb,
  dynamodb: async () => {
    const server = await startDynamoDb()
    return { url: server.endpoint, stop: () => server.stop() }
  },
}

export function startServers() {
  const running = new Map<ServerName, Promise<Server>>()
  return {
    async addresses(names: ServerName[]): Promise<Addresses> {
      for (const name of names) {
        if (!running.has(name)) running.set(name, STARTS[name]())
      }
      const found = names.map(async (name) => {
        const { url } = await running.get(name)!
        return [name, url] as const
      })
      return Object.fromEntries(await Promise.all(found))
    },

    async stop() {
      const started = await Promise.allSettled(running.values())
      const stops = started.map((each) => each.status === 'fulfilled' && each.value.stop())
      await Promise.allSettled(stops)
    },
  }
}
