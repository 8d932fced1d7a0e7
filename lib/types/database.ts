/**
 * Types of the stores that keep locks in a database table.
 */

/**
 * Options of a store that keeps its locks in a database table.
 */
export interface DatabaseOptions {
  /**
   * The table that holds the locks. A dot separates the table from the schema (or database) that it is in.
   *
   * @default 'verrou'
   */
  tableName?: string

  /**
   * Create the table when it is missing: with the first lock, not before.
   *
   * @default true
   */
  autoCreateTable?: boolean

  /**
   * Whether locks bear fencing tokens unless they say otherwise. The tokens are in a table beside that of the locks, whose name
   * ends in `_fencing`; it is created like that of the locks, with the first fenced lock.
   *
   * @default false
   */
  fencing?: boolean
}

/**
 * What a `DatabaseStore` needs from a database client. Expirations are milliseconds since the Unix epoch.
 */
export interface DatabaseAdapter {
  /** Sets the table that holds the locks. */
  setTableName(tableName: string): void
  /** Creates the table unless it exists. */
  createTableIfNotExists(): Promise<void>
  /** Inserts a lock; rejects if the key exists. */
  insertLock(lock: { key: string; owner: string; expiration: number | null }): Promise<void>
  /** Takes over an expired lock; resolves to the number of changed rows. */
  acquireLock(lock: { key: string; owner: string; expiration: number | null }): Promise<number>
  /** Deletes a lock, with `owner` only if it is the owner's. */
  deleteLock(key: string, owner?: string): Promise<void>
  /** Moves the expiration of the owner's lock to now plus `duration` ms; resolves to the number of changed rows. */
  extendLock(key: string, owner: string, duration: number): Promise<number>
  /** Reads a lock. */
  getLock(key: string): Promise<{ owner: string; expiration: number | null } | undefined>
  /**
   * Inserts a lock or takes over an expired one, and gives it a fencing token in the same transaction: one more than the last
   * token of the key, or the microseconds since the Unix epoch if these are more. Needed for fencing only.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   * @returns The token; `false` if somebody else holds the lock
   */
  saveFencedLock?(key: string, owner: string, ttl: number | null): Promise<bigint | false>
  /** Creates the table of the tokens unless it exists; called before the first `saveFencedLock`. */
  createFencingTableIfNotExists?(): Promise<void>
}

/**
 * An adapter that checks and changes in one step, by the database's clock where there is one. A `DatabaseStore` uses these
 * methods where an adapter has them all.
 */
export interface AtomicDatabaseAdapter extends DatabaseAdapter {
  /** Whether texts that differ only in blanks at their end are the same key for the database. */
  ignoresTrailingBlanks(): Promise<boolean>
  /**
   * Inserts a lock or takes over an expired one; tells whether it did.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   */
  saveLock(key: string, owner: string, ttl: number | null): Promise<boolean>
  /** Deletes the owner's lock unless it has expired; tells whether it did. */
  releaseLock(key: string, owner: string): Promise<boolean>
  /** Makes the owner's lock end `duration` ms from now unless it has expired; tells whether it did. */
  renewLock(key: string, owner: string, duration: number): Promise<boolean>
  /** Whether there is a lock that hasn't expired. */
  isLocked(key: string): Promise<boolean>
}

/**
 * What all database stores may be told besides the table.
 */
export interface DatabaseTableOptions extends DatabaseOptions {
  /**
   * The schema that the table is in (Postgres), or the database (MySQL). Beside it a dot in the table's name is nothing
   * special.
   */
  schemaName?: string

  /**
   * How long a call waits for the database; it then rejects with E_LOCK_STORAGE_ERROR. Milliseconds.
   *
   * @default 5_000
   */
  commandTimeout?: number

  /**
   * How long it may take to connect natively, TLS and login included. Milliseconds.
   *
   * @default that of the connection's settings, or 5_000
   */
  connectTimeout?: number

  /**
   * How many native connections there are at most in a process.
   *
   * @default 4, or fewer where the pool of the connection's settings has fewer
   */
  poolSize?: number

  /**
   * There is a PgBouncer in front of Postgres that gives each transaction another connection: nothing may be kept on one.
   *
   * @default false
   */
  pgbouncer?: boolean
}

/**
 * What a database store needs of a knex instance. Instances of knex have it.
 */
export interface KnexConnection {
  (tableName: string): unknown
  readonly client: unknown
  readonly schema: unknown
  raw(sql: string): unknown
}

/**
 * Options of a store that takes its settings from a knex instance.
 */
export interface KnexStoreOptions extends DatabaseTableOptions {
  /** Its config is read once; it may be connected or not. */
  connection: KnexConnection
}

/**
 * What a database store needs of a Kysely instance. Instances of Kysely have it, and transactions.
 */
export interface KyselyConnection {
  readonly isTransaction: boolean
  getExecutor(): unknown
  executeQuery(query: never): Promise<unknown>
  withoutPlugins(): unknown
}

/**
 * Options of a store over a Kysely instance.
 */
export interface KyselyOptions extends Pick<
  DatabaseTableOptions,
  'tableName' | 'autoCreateTable' | 'fencing' | 'schemaName' | 'commandTimeout'
> {
  /** All statements are sent over it. Its plugins see none of them, but they may change the name of the table. */
  connection: KyselyConnection
}

/**
 * How TLS is used with a database; as in Node.js. Certificates and keys are PEM.
 */
export interface DatabaseTlsOptions {
  /** The authorities that are trusted, instead of those that Node.js trusts. */
  ca?: string | Uint8Array | (string | Uint8Array)[]
  /** The certificate chain of this client, for servers that ask for one. */
  cert?: string | Uint8Array
  /** Its key, not encrypted. */
  key?: string | Uint8Array
  /**
   * Whether a server is refused whose certificate isn't signed by a trusted authority.
   *
   * @default true
   */
  rejectUnauthorized?: boolean
  /**
   * MySQL: whether the certificate must bear the host's name, too, as it always must with Postgres.
   *
   * @default false
   */
  verifyIdentity?: boolean
}

/**
 * Where a database is: the options of `connection` that most need. Others are those of the client's driver, as far as
 * `docs/database.md` says that they are carried over.
 */
export interface DatabaseConnectionOptions {
  host?: string
  port?: number | string
  user?: string
  password?: string
  database?: string
  /** `true` for the defaults. */
  ssl?: boolean | DatabaseTlsOptions
  /** MySQL: a unix socket, instead of host and port. */
  socketPath?: string
  /** SQLite: relative to the process's folder. */
  filename?: string
  /** Postgres: the name in `pg_stat_activity`. */
  application_name?: string
  /** Postgres: as in libpq; `-c search_path=…` */
  options?: string
}

/**
 * Options of a store with a native connection of its own: a URL, or what `knex()` takes.
 */
export interface DatabaseStoreOptions extends DatabaseTableOptions {
  /**
   * `postgres://user:password@host:5432/database`, `mysql://…`, `sqlite:locks.db`. Where `connection` says something else,
   * the URL counts.
   */
  url?: string
  /**
   * What the options of `connection` are for.
   *
   * @default what the protocol of `url` says
   */
  client?: 'pg' | 'postgres' | 'postgresql' | 'mysql' | 'mysql2' | 'sqlite3' | 'better-sqlite3'
  /** A URL, or options. */
  connection?: string | DatabaseConnectionOptions
  /** Postgres: the schemas where a table is looked for that is named without one. */
  searchPath?: string | string[]
  /** `poolSize` counts more. */
  pool?: { min?: number; max?: number }
}
