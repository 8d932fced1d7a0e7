/**
 * What the native connections need to know, in the form in which the addon takes it. Nothing here is shown to users: it
 * is made of a knex instance, of `config/database.ts` or of plain options, see `translate.ts`.
 */

export type DatabaseKind = 'postgres' | 'mysql' | 'sqlite'

/** Texts are PEM. */
export interface DatabaseTls {
  /** The authorities that are trusted; those that Node.js trusts if there are none. */
  ca: string[]
  cert?: string
  key?: string
  /** Whether a server is refused whose certificate no trusted authority has signed, or that has expired. */
  rejectUnauthorized: boolean
  /** Whether the certificate must bear the name of the host, too; counts only together with `rejectUnauthorized`. */
  verifyIdentity: boolean
  /** Whether a server without TLS is taken, too. */
  isOptional: boolean
}

/** Everything that connections need. Stores with equal settings share them. Times are in milliseconds. */
export interface DatabaseSettings {
  kind: DatabaseKind
  /** Of a server that is reached over the network. */
  host?: string
  /** With `path`, part of the name of a Postgres server's socket. */
  port?: number
  /** SQLite: the absolute name of the file. Postgres: the folder of the unix socket. MySQL: the socket. */
  path?: string
  username?: string
  password?: string
  database?: string
  /** Postgres: where unqualified names are looked for; names as they are, not quoted. */
  searchPath?: string[]
  /** Where the table is: a schema of Postgres, a database of MySQL. */
  schema?: string
  /** The name as it is, not quoted. */
  table: string
  autoCreateTable: boolean
  tls?: DatabaseTls
  /** Told by the user: nothing may be kept on a connection. */
  pgbouncer: boolean
  /** The name in `pg_stat_activity`. */
  applicationName?: string
  connectTimeout: number
  commandTimeout: number
  /** How many connections there are at most. */
  poolSize: number
  /** SQLite: how long a statement waits for a file that is locked by somebody else. */
  busyTimeout: number
}

/** What becomes of somebody's options. */
export type Translation =
  | {
      kind: 'native'
      settings: DatabaseSettings
      /** What the person should hear of, each a sentence without a full stop. */
      warnings: string[]
    }
  | {
      kind: 'connection'
      /** Which option can't be carried over and why; what follows "since". Names options, never shows values. */
      reason: string
    }

export type Native = Extract<Translation, { kind: 'native' }>

/** What a driver's translation finds out: where the database is and how to get in. */
export type ServerSettings = Pick<
  DatabaseSettings,
  | 'kind'
  | 'host'
  | 'port'
  | 'path'
  | 'username'
  | 'password'
  | 'database'
  | 'searchPath'
  | 'tls'
  | 'applicationName'
  | 'pgbouncer'
> & {
  /** Milliseconds; `undefined` for the default. */
  connectTimeout?: number
  /** Milliseconds; a limit that the app has set for its own statements, besides that of the store. */
  statementTimeout?: number
}
