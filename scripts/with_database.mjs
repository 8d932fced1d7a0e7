// Runs a command with one private database server, which ends with it: `node scripts/with_database.mjs pg npm test …`.
//
// The first argument is pg or mysql (MariaDB). Where the server is, the command learns from the variables that the examples
// read: DB_CONNECTION, DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_DATABASE, and DATABASE_URL.
import { startMariadb, startPostgres } from './database/servers.mjs'
import { runWith } from './servers/run_with.mjs'

const KINDS = { pg: ['PostgreSQL', startPostgres], mysql: ['MariaDB', startMariadb] }

const [connection] = process.argv.splice(2, 1)
if (!Object.hasOwn(KINDS, connection ?? '')) {
  console.error(`Usage: node ${process.argv[1]} pg|mysql COMMAND [ARGUMENT…]`)
  process.exit(2)
}

const [name, start] = KINDS[connection]
await runWith(name, async () => {
  const server = await start()
  return {
    DB_CONNECTION: connection,
    DB_HOST: server.host,
    DB_PORT: `${server.port}`,
    DB_USER: server.user,
    DB_PASSWORD: server.password,
    DB_DATABASE: server.database,
    DATABASE_URL: server.url,
  }
})
