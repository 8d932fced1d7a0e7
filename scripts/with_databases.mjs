// Runs a command with private database servers, which end with it: `node scripts/with_databases.mjs cargo test …`.
//
// Where they are it learns from its environment. Names and passwords in the URLs are percent-encoded.
//   LOQUET_TEST_POSTGRES          postgres://user:password@127.0.0.1:port/database, nothing else on it, without TLS
//   LOQUET_TEST_POSTGRES_SOCKET   the folder of that server's unix socket
//   LOQUET_TEST_POSTGRES_TLS      the same, of a server that lets nobody in without TLS
//   LOQUET_TEST_POSTGRES_TLS_CA   a file: the authority that has signed its certificate
//   LOQUET_TEST_PGBOUNCER         postgres://…: PgBouncer before the first one; it pools transactions
//   LOQUET_TEST_MYSQL             mysql://user:password@127.0.0.1:port/database: MariaDB, without TLS
//   LOQUET_TEST_MYSQL_SOCKET      that server's unix socket
//   LOQUET_TEST_MYSQL_TLS, LOQUET_TEST_MYSQL_TLS_CA   as above
import { startMariadb, startPgbouncer, startPostgres } from './database/servers.mjs'
import { fileFor, runWith } from './servers/run_with.mjs'

await runWith('Databases: PostgreSQL and MariaDB, with and without TLS, PgBouncer', async () => {
  const [[postgres, pgbouncer], postgresTls, mariadb, mariadbTls] = await Promise.all([
    startPostgres().then(async (server) => [server, await startPgbouncer(server)]),
    startPostgres({ tls: true }),
    startMariadb(),
    startMariadb({ tls: true }),
  ])
  return {
    LOQUET_TEST_POSTGRES: postgres.url,
    LOQUET_TEST_POSTGRES_SOCKET: postgres.socketFolder,
    LOQUET_TEST_POSTGRES_TLS: postgresTls.url,
    LOQUET_TEST_POSTGRES_TLS_CA: await fileFor(postgresTls, 'authority.pem', postgresTls.ca),
    LOQUET_TEST_PGBOUNCER: pgbouncer.url,
    LOQUET_TEST_MYSQL: mariadb.url,
    LOQUET_TEST_MYSQL_SOCKET: mariadb.socketPath,
    LOQUET_TEST_MYSQL_TLS: mariadbTls.url,
    LOQUET_TEST_MYSQL_TLS_CA: await fileFor(mariadbTls, 'authority.pem', mariadbTls.ca),
  }
})
