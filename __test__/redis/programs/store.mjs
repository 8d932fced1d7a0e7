// A store for a program, from its options as they came: a database's name their client, Redis's don't.
import { databaseStore } from 'loquet/drivers/database'
import { RedisStore } from 'loquet/drivers/redis'

export function openStore({ connectionName, ...options }) {
  if (options.client === undefined) return new RedisStore({ ...options, connectionName })
  const { port, connection, ...rest } = options
  // Where nobody listens, or nothing can be.
  const elsewhere = connection.filename === undefined ? { port } : { filename: '/nowhere/at/all' }
  const target = port === undefined ? connection : { ...connection, ...elsewhere }
  // Stores with different settings have connections of their own.
  const connectTimeout = 5000 + (connectionName ?? '').length
  return databaseStore({ connectTimeout, ...rest, connection: target }).factory()
}
