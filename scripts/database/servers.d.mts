/**
 * Private database servers for tests, on 127.0.0.1 and free ports, in temporary folders. They end with the process (or
 * the thread) that started them, however that ends, and don't keep it alive. Needs the programs of Debian's packages
 * `postgresql`, `mariadb-server` and `pgbouncer`, those that are started; for TLS `openssl` too.
 *
 * The first server of a kind in a process takes a second or two, others a fraction of that. They don't write through to
 * the disk: what has been committed survives `kill`, not a power failure.
 */
import type { Certificates } from '../servers/certificates.mjs'

export { makeCertificates } from '../servers/certificates.mjs'
export type { Certificate, Certificates } from '../servers/certificates.mjs'

/** A row, by the names of its columns. Of MariaDB's answer to a statement without rows: what mysql2 tells of it. */
export type Row = Record<string, any>

/** A connection of its own. */
export interface DatabaseConnection {
  /** Parameters are `$1` in PostgreSQL and `?` in MariaDB. Rejects after 15 seconds. */
  query(sql: string, params?: unknown[]): Promise<Row[]>
  end(): Promise<void>
}

export interface DatabaseServer {
  readonly host: string
  readonly port: number
  readonly user: string
  /** Has characters that a URL has to escape. */
  readonly password: string
  readonly database: string
  /** `postgres://user:password@127.0.0.1:port/database` or `mysql://…`. */
  readonly url: string
  /** The certificate of the authority that has signed the server's, as a PEM text; of a server with TLS. */
  readonly ca?: string
  readonly certificates?: Certificates
  /** Where it keeps its files, its log among them. */
  readonly folder: string
  /** The process id, undefined while it is down. */
  readonly pid: number | undefined
  readonly isRunning: boolean

  /**
   * Runs a statement over a connection of its own (the unix socket, whatever the network may do) as a user who may do
   * everything, and resolves to its rows.
   *
   * @throws Error with the server's message and the statement, or if it doesn't answer within 15 seconds
   */
  query(sql: string, params?: unknown[]): Promise<Row[]>
  /** Opens a connection that stays until it is ended: for transactions and locks. */
  open(): Promise<DatabaseConnection>
  /** What the server has logged. */
  log(): string

  /** SIGKILL to it and its children; resolves when they are gone. */
  kill(): Promise<void>
  /** Ends it as a service manager does, without waiting for its clients; what it has is kept for `restart`. */
  shutDown(): Promise<void>
  /** Resolves when the process and the folder are gone. */
  stop(): Promise<void>
  /** Starts it again (if it still runs, after SIGKILL) on the same port, with its data; resolves when it answers. */
  restart(): Promise<void>
  /** SIGSTOP to it and its children: connections stay and nothing answers. New ones are made, by the system. */
  pause(): void
  /** SIGCONT. */
  resume(): void
}

export interface DatabaseOptions {
  /** Settings of its configuration file: `{ max_connections: '5' }`. */
  config?: Record<string, string>
  /** Arguments of its command line. */
  args?: string[]
  /** The port to take; any free one without it. */
  port?: number
  /** With TLS: nobody is let in without it over the network, or both ways are `optional`. */
  tls?: boolean | 'optional'
  /** Take these instead of new ones. */
  certificates?: Certificates
}

export interface PostgresServer extends DatabaseServer {
  /** The folder of its unix socket. */
  readonly socketFolder: string
}

export interface PostgresOptions extends DatabaseOptions {
  /** Refuse clients over the network that show no certificate (with `tls: true`). */
  requireClientCertificate?: boolean
}

/** The user is a superuser, who logs in with SCRAM. */
export function startPostgres(options?: PostgresOptions): Promise<PostgresServer>

export interface MariadbServer extends DatabaseServer {
  /** Its unix socket. */
  readonly socketPath: string
}

export function startMariadb(options?: DatabaseOptions): Promise<MariadbServer>

export interface PgbouncerOptions {
  /** What a client has a connection of the server's for; `transaction` unless set. */
  poolMode?: 'session' | 'transaction' | 'statement'
  /** Settings of the section `[pgbouncer]`. No parameter of a client's start is ignored unless one is named here. */
  config?: Record<string, string | number>
  port?: number
}

/** PgBouncer before a server, with its user, password and databases. It outlives the server. */
export function startPgbouncer(
  server: PostgresServer,
  options?: PgbouncerOptions
): Promise<PostgresServer>
