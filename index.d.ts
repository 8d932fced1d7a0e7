/**
 * The public API of loquet: what `import … from 'loquet'` (or from the name it is installed under) gives.
 *
 * Generated from lib/ by `npm run build:lib`; not to be edited.
 */
import './build/adonis/types.js'
import { Exception, InvalidArgumentsException } from '@poppinss/exception';

/**
 * Types of the stores that keep locks in a database table.
 */
/**
 * Options of a store that keeps its locks in a database table.
 */
interface DatabaseOptions {
    /**
     * The table that holds the locks. A dot separates the table from the schema (or database) that it is in.
     *
     * @default 'verrou'
     */
    tableName?: string;
    /**
     * Create the table when it is missing: with the first lock, not before.
     *
     * @default true
     */
    autoCreateTable?: boolean;
    /**
     * Whether locks bear fencing tokens unless they say otherwise. The tokens are in a table beside that of the locks, whose name
     * ends in `_fencing`; it is created like that of the locks, with the first fenced lock.
     *
     * @default false
     */
    fencing?: boolean;
}
/**
 * What a `DatabaseStore` needs from a database client. Expirations are milliseconds since the Unix epoch.
 */
interface DatabaseAdapter {
    /** Sets the table that holds the locks. */
    setTableName(tableName: string): void;
    /** Creates the table unless it exists. */
    createTableIfNotExists(): Promise<void>;
    /** Inserts a lock; rejects if the key exists. */
    insertLock(lock: {
        key: string;
        owner: string;
        expiration: number | null;
    }): Promise<void>;
    /** Takes over an expired lock; resolves to the number of changed rows. */
    acquireLock(lock: {
        key: string;
        owner: string;
        expiration: number | null;
    }): Promise<number>;
    /** Deletes a lock, with `owner` only if it is the owner's. */
    deleteLock(key: string, owner?: string): Promise<void>;
    /** Moves the expiration of the owner's lock to now plus `duration` ms; resolves to the number of changed rows. */
    extendLock(key: string, owner: string, duration: number): Promise<number>;
    /** Reads a lock. */
    getLock(key: string): Promise<{
        owner: string;
        expiration: number | null;
    } | undefined>;
    /**
     * Inserts a lock or takes over an expired one, and gives it a fencing token in the same transaction: one more than the last
     * token of the key, or the microseconds since the Unix epoch if these are more. Needed for fencing only.
     *
     * @param ttl - Milliseconds; `null` for no expiry
     * @returns The token; `false` if somebody else holds the lock
     */
    saveFencedLock?(key: string, owner: string, ttl: number | null): Promise<bigint | false>;
    /** Creates the table of the tokens unless it exists; called before the first `saveFencedLock`. */
    createFencingTableIfNotExists?(): Promise<void>;
}
/**
 * An adapter that checks and changes in one step, by the database's clock where there is one. A `DatabaseStore` uses these
 * methods where an adapter has them all.
 */
interface AtomicDatabaseAdapter extends DatabaseAdapter {
    /** Whether texts that differ only in blanks at their end are the same key for the database. */
    ignoresTrailingBlanks(): Promise<boolean>;
    /**
     * Inserts a lock or takes over an expired one; tells whether it did.
     *
     * @param ttl - Milliseconds; `null` for no expiry
     */
    saveLock(key: string, owner: string, ttl: number | null): Promise<boolean>;
    /** Deletes the owner's lock unless it has expired; tells whether it did. */
    releaseLock(key: string, owner: string): Promise<boolean>;
    /** Makes the owner's lock end `duration` ms from now unless it has expired; tells whether it did. */
    renewLock(key: string, owner: string, duration: number): Promise<boolean>;
    /** Whether there is a lock that hasn't expired. */
    isLocked(key: string): Promise<boolean>;
}
/**
 * What all database stores may be told besides the table.
 */
interface DatabaseTableOptions extends DatabaseOptions {
    /**
     * The schema that the table is in (Postgres), or the database (MySQL). Beside it a dot in the table's name is nothing
     * special.
     */
    schemaName?: string;
    /**
     * How long a call waits for the database; it then rejects with E_LOCK_STORAGE_ERROR. Milliseconds.
     *
     * @default 5_000
     */
    commandTimeout?: number;
    /**
     * How long it may take to connect natively, TLS and login included. Milliseconds.
     *
     * @default that of the connection's settings, or 5_000
     */
    connectTimeout?: number;
    /**
     * How many native connections there are at most in a process.
     *
     * @default 4, or fewer where the pool of the connection's settings has fewer
     */
    poolSize?: number;
    /**
     * There is a PgBouncer in front of Postgres that gives each transaction another connection: nothing may be kept on one.
     *
     * @default false
     */
    pgbouncer?: boolean;
}
/**
 * What a database store needs of a knex instance. Instances of knex have it.
 */
interface KnexConnection {
    (tableName: string): unknown;
    readonly client: unknown;
    readonly schema: unknown;
    raw(sql: string): unknown;
}
/**
 * Options of a store that takes its settings from a knex instance.
 */
interface KnexStoreOptions extends DatabaseTableOptions {
    /** Its config is read once; it may be connected or not. */
    connection: KnexConnection;
}
/**
 * What a database store needs of a Kysely instance. Instances of Kysely have it, and transactions.
 */
interface KyselyConnection {
    readonly isTransaction: boolean;
    getExecutor(): unknown;
    executeQuery(query: never): Promise<unknown>;
    withoutPlugins(): unknown;
}
/**
 * Options of a store over a Kysely instance.
 */
interface KyselyOptions extends Pick<DatabaseTableOptions, 'tableName' | 'autoCreateTable' | 'fencing' | 'schemaName' | 'commandTimeout'> {
    /** All statements are sent over it. Its plugins see none of them, but they may change the name of the table. */
    connection: KyselyConnection;
}
/**
 * How TLS is used with a database; as in Node.js. Certificates and keys are PEM.
 */
interface DatabaseTlsOptions {
    /** The authorities that are trusted, instead of those that Node.js trusts. */
    ca?: string | Uint8Array | (string | Uint8Array)[];
    /** The certificate chain of this client, for servers that ask for one. */
    cert?: string | Uint8Array;
    /** Its key, not encrypted. */
    key?: string | Uint8Array;
    /**
     * Whether a server is refused whose certificate isn't signed by a trusted authority.
     *
     * @default true
     */
    rejectUnauthorized?: boolean;
    /**
     * MySQL: whether the certificate must bear the host's name, too, as it always must with Postgres.
     *
     * @default false
     */
    verifyIdentity?: boolean;
}
/**
 * Where a database is: the options of `connection` that most need. Others are those of the client's driver, as far as
 * `docs/database.md` says that they are carried over.
 */
interface DatabaseConnectionOptions {
    host?: string;
    port?: number | string;
    user?: string;
    password?: string;
    database?: string;
    /** `true` for the defaults. */
    ssl?: boolean | DatabaseTlsOptions;
    /** MySQL: a unix socket, instead of host and port. */
    socketPath?: string;
    /** SQLite: relative to the process's folder. */
    filename?: string;
    /** Postgres: the name in `pg_stat_activity`. */
    application_name?: string;
    /** Postgres: as in libpq; `-c search_path=…` */
    options?: string;
}
/**
 * Options of a store with a native connection of its own: a URL, or what `knex()` takes.
 */
interface DatabaseStoreOptions extends DatabaseTableOptions {
    /**
     * `postgres://user:password@host:5432/database`, `mysql://…`, `sqlite:locks.db`. Where `connection` says something else,
     * the URL counts.
     */
    url?: string;
    /**
     * What the options of `connection` are for.
     *
     * @default what the protocol of `url` says
     */
    client?: 'pg' | 'postgres' | 'postgresql' | 'mysql' | 'mysql2' | 'sqlite3' | 'better-sqlite3';
    /** A URL, or options. */
    connection?: string | DatabaseConnectionOptions;
    /** Postgres: the schemas where a table is looked for that is named without one. */
    searchPath?: string | string[];
    /** `poolSize` counts more. */
    pool?: {
        min?: number;
        max?: number;
    };
}

/**
 * Public types of the DynamoDB store.
 */
/**
 * What the store needs of a client. The `DynamoDBClient` of `@aws-sdk/client-dynamodb` has it.
 */
interface DynamoDbConnection {
    send(command: object, options?: object): Promise<unknown>;
}
/**
 * The table that holds the locks.
 */
interface DynamoDbTable {
    /** Its name (3 to 255 letters, digits, `_`, `-`, `.`) or its ARN. */
    name: string;
    /**
     * Create the table when it is missing: with the first lock, not before, billed by request.
     *
     * @default true
     */
    autoCreate?: boolean;
}
/**
 * Options of a store that keeps its locks in a DynamoDB table.
 */
interface DynamoDbOptions {
    /** A client of the app: the `DynamoDBClient` of `@aws-sdk/client-dynamodb`. It is neither changed nor destroyed. */
    connection: DynamoDbConnection;
    /** The table that holds the locks. */
    table: DynamoDbTable;
    /**
     * How long a call may take, all retries included; it then rejects with E_LOCK_STORAGE_ERROR. Milliseconds.
     *
     * @default 5_000
     */
    commandTimeout?: number;
    /**
     * Whether locks bear fencing tokens unless they say otherwise. The item of a fenced lock stays for a week after its
     * release.
     *
     * @default false
     */
    fencing?: boolean;
}

/**
 * Public types of `Verrou.stats` and `LockFactory.stats`.
 */
/**
 * How a span of time is distributed: milliseconds with fractions, to three significant digits and no finer than a
 * microsecond. What takes longer than 24 hours counts as 24 hours. All are 0 as long as `count` is.
 */
interface DurationSummary {
    /** How many spans there are. */
    readonly count: number;
    readonly min: number;
    readonly max: number;
    readonly mean: number;
    /** Half of them are no longer; in the same way `p90`, `p99` and `p999` (999 of 1000). */
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly p999: number;
}
/**
 * A key that somebody waits for.
 */
interface ContendedKey {
    readonly key: string;
    /** How many acquires of this process wait for it. */
    readonly waiters: number;
}
/**
 * What is known in this process of the locks of one store, since the store was made. Stores that share their locks (memory
 * stores with the same `shared` name) or their connection (stores on servers with equal settings) share their figures, in
 * whichever thread they are.
 */
interface StoreStats {
    /**
     * From the call of an acquire to its grant: 0 in memory if the lock was free, elsewhere what the store takes to answer at
     * least. Waits that end without the lock don't count.
     */
    readonly wait: DurationSummary;
    /**
     * From a grant to the end of the lease: its release, a forced release, or its expiry once that is noticed. Leases that
     * another process has acquired don't count.
     */
    readonly hold: DurationSummary;
    /** The keys that are waited for most, the first most of all; at most 10. */
    readonly contended: readonly ContendedKey[];
    /** How many acquires wait, on any key, for a lock that they have found held. */
    readonly waiters: number;
    /**
     * How many leases are held. In memory these are all that there are; elsewhere those that this process has acquired, as far
     * as it knows: one that somebody else has freed by force counts until its end.
     */
    readonly leases: number;
    /**
     * How often a store's server was asked: pipelines sent to Redis, statements or transactions of a database, calls of a method
     * of a store that is written in JavaScript. None in memory.
     */
    readonly roundTrips: number;
    /**
     * How many connections were made in place of lost ones. None in memory and of stores that are written in JavaScript, which
     * tell nothing of their connections.
     */
    readonly reconnects: number;
}

/**
 * Public types of the core: stores, locks, retries and durations.
 */
/**
 * A span of time: milliseconds as a number (fractions round up), a string such as `'10s'`, `'1m'` or `'2 hours'`
 * (parsed by {@link https://github.com/lukeed/ms | @lukeed/ms}), or `null` for "no expiry" / "no limit".
 */
type Duration = number | string | null;
/**
 * What a lock store has to do. Methods may be synchronous or return promises.
 *
 * Errors that a custom store throws reach the caller of the lock untouched. `delete` and `extend` report a lock that
 * isn't held by `owner` by throwing `E_LOCK_NOT_OWNED`.
 */
interface LockStore {
    /**
     * Saves the lock unless the key is locked already.
     *
     * @param key - The key to lock
     * @param owner - The identity of this acquisition
     * @param ttl - Milliseconds until the lease expires; `null` means that it doesn't
     * @returns `true` if the lock was acquired, `false` if somebody else holds it
     */
    save(key: string, owner: string, ttl: number | null): Promise<boolean> | boolean;
    /**
     * Deletes the lock if `owner` holds it, otherwise throws `E_LOCK_NOT_OWNED`.
     */
    delete(key: string, owner: string): Promise<void> | void;
    /**
     * Deletes the lock whoever holds it. Does nothing if nobody does.
     */
    forceDelete(key: string): Promise<void> | void;
    /**
     * Tells whether somebody holds a live lease of the key.
     */
    exists(key: string): Promise<boolean> | boolean;
    /**
     * Makes the lease end `duration` milliseconds from now if `owner` holds it, otherwise throws `E_LOCK_NOT_OWNED`.
     */
    extend(key: string, owner: string, duration: number): Promise<void> | void;
    /**
     * Like `save`, and gives the acquisition a fencing token in the same step: a positive integer below 2^53 that is greater
     * than every token of the key before, whoever held it, however their leases ended. The better of two candidates, one more
     * than the last token and the microseconds since the Unix epoch, also is greater when the storage has lost the last token.
     *
     * Optional: without it the store's locks can't be fenced.
     *
     * @returns The token if the lock was acquired, `false` if somebody else holds it
     */
    saveFenced?(key: string, owner: string, ttl: number | null): Promise<bigint | false> | bigint | false;
    /**
     * Whether the locks of the store are fenced unless they say otherwise; then it has `saveFenced`.
     */
    readonly fencing?: boolean;
}
/**
 * How a store is named in a config: an object whose `driver.factory` makes the store on first use.
 */
interface StoreFactory {
    driver: {
        factory: () => LockStore;
    };
}
/**
 * A lock as plain JSON, made by `Lock.serialize()` and taken by `restoreLock()`, in this process or another one.
 */
interface SerializedLock {
    /** The locked key. */
    key: string;
    /** The identity under which the lock was acquired. */
    owner: string;
    /** Milliseconds that a lease lasts; `null` for ever. */
    ttl: number | null;
    /** When the lease ends, in milliseconds since the Unix epoch; `null` if it doesn't or isn't held. */
    expirationTime: number | null;
}
/**
 * How long and how often `acquire` tries.
 */
interface RetryConfig {
    /**
     * How many chances an acquire has: a positive integer or `Infinity`.
     *
     * @default Number.POSITIVE_INFINITY
     */
    attempts?: number;
    /**
     * The time between two chances. A release in the same process wakes the next waiter without waiting for it.
     *
     * @default 250
     */
    delay?: Duration;
    /**
     * The longest time an acquire may take, time inside store calls included.
     *
     * @default undefined (no limit)
     */
    timeout?: Duration;
}
/**
 * Options of `Lock.acquire`, `Lock.run`.
 */
interface LockAcquireOptions {
    /** Overrides the factory's retry settings, one by one. */
    retry?: RetryConfig;
    /**
     * Ends the wait: the acquire rejects with the signal's reason, its place in the queue is freed and no lease stays
     * behind. Has no effect once the lock is acquired.
     */
    signal?: AbortSignal;
    /**
     * Whether the lease is extended while it is held, and for how long at most. `true` means the factory's limits, or the
     * usual ones. A lock without TTL needs no extension.
     *
     * @default The factory's setting; without one, `false`
     */
    autoExtend?: boolean | AutoExtendOptions;
}
/**
 * The leash of a lease that is extended while it is held.
 */
interface AutoExtendOptions {
    /**
     * How long the lease may last in all, from its grant on; `null` for as long as it is held.
     *
     * @default '1h'
     */
    max?: Duration;
    /**
     * How long the event loop may be busy with one thing: after that the lease is not extended until the event loop turns
     * again, so that a process that hangs doesn't hold a lock for ever. `null` for as long as it likes.
     *
     * @default '1m'
     */
    stall?: Duration;
}
/**
 * Settings of automatic extension after validation: milliseconds, `Infinity` for no limit.
 */
interface ResolvedAutoExtend {
    max: number;
    stall: number;
}
/**
 * Options of `createLock`.
 */
interface CreateLockOptions {
    /**
     * Whether each acquisition gets a fencing token.
     *
     * @default The factory's setting; without one, the store's
     */
    fencing?: boolean;
}
/**
 * Options of `Verrou.close` and `LockFactory.close`.
 */
interface CloseOptions {
    /**
     * Whether what is held by locks of this manager is released. Their signals are aborted with E_LOCK_LOST, its reason is
     * `closed`. Locks that were restored with `restoreLock` belong to whoever acquired them.
     *
     * @default false
     */
    release?: boolean;
    /**
     * How long that may take, and that what is granted to waits that were ended is given back; `null` for as long as it takes.
     * What couldn't be released by then is logged with its key and left to its TTL.
     *
     * @default '5s'
     */
    timeout?: Duration;
}
/**
 * The part of a logger that is used. pino's and AdonisJS's loggers have it.
 */
interface Logger {
    child(bindings: Record<string, unknown>): Logger;
    trace(bindings: object, message?: string): void;
    debug(bindings: object, message?: string): void;
    info(bindings: object, message?: string): void;
    warn(bindings: object, message?: string): void;
    error(bindings: object, message?: string): void;
    fatal(bindings: object, message?: string): void;
    isLevelEnabled?(level: string): boolean;
}
/**
 * Options of `new LockFactory`.
 */
interface LockFactoryOptions {
    /** What the store is called in what is told of its locks; the name of its class unless given. */
    name?: string;
    /** Retry defaults for the locks of this factory. */
    retry?: RetryConfig;
    /** Where to log; a child with `pkg: 'loquet'` is made of it. Nothing is logged without it. */
    logger?: Logger;
    /** Whether leases are extended while they are held; see {@link LockAcquireOptions.autoExtend}. */
    autoExtend?: boolean | AutoExtendOptions;
    /** Whether the locks of this factory have fencing tokens; the store's setting unless given. */
    fencing?: boolean;
}
/**
 * A lock's settings after validation.
 */
interface ResolvedLockConfig {
    retry: {
        /** A positive integer or `Infinity`. */
        attempts: number;
        /** Milliseconds. */
        delay: number;
        /** Milliseconds. */
        timeout?: number;
    };
    logger: Logger;
    /** `null` or missing: leases are not extended. */
    autoExtend?: ResolvedAutoExtend | null;
    fencing?: boolean;
}
/**
 * What a redis store needs of a connection that the app has made with ioredis: a `Redis` or a `Cluster`, or something
 * that behaves like one.
 */
interface RedisConnection {
    set(key: string, value: string, millisecondsToken: 'PX', milliseconds: number, nx: 'NX'): Promise<unknown>;
    set(key: string, value: string, nx: 'NX'): Promise<unknown>;
    del(key: string): Promise<unknown>;
    eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>;
}
/**
 * How to encrypt the connection to a Redis server; as in Node.js. Certificates and keys are PEM.
 */
interface RedisTlsOptions {
    /** The authorities that are trusted, instead of those that Node.js trusts. */
    ca?: string | Uint8Array | (string | Uint8Array)[];
    /** The certificate chain of this client, for servers that ask for one. */
    cert?: string | Uint8Array;
    /** Its key, not encrypted. */
    key?: string | Uint8Array;
    /** The name that the server's certificate must bear, if not the host's. */
    servername?: string;
    /**
     * Whether a server whose certificate doesn't fit is refused.
     *
     * @default true
     */
    rejectUnauthorized?: boolean;
}
/**
 * How a Redis server is reached. The names are those of ioredis; times are in milliseconds.
 */
interface RedisServerOptions {
    /** @default 'localhost' */
    host?: string;
    /** @default 6379 */
    port?: number | string;
    /** A unix socket, instead of host and port. */
    path?: string;
    username?: string;
    password?: string;
    /** @default 0 */
    db?: number;
    /** Which addresses of a host name are used: 4, 6 or, with 0, any. */
    family?: number;
    /** Put before every key. */
    keyPrefix?: string;
    /**
     * How long it may take to connect, TLS and login included.
     *
     * @default 10_000
     */
    connectTimeout?: number;
    /**
     * How long a call waits for the server; it then rejects with E_LOCK_STORAGE_ERROR.
     *
     * @default 5_000
     */
    commandTimeout?: number;
    /** How long a silent connection waits before the operating system probes it. */
    keepAlive?: number;
    /** What the connection is called in `CLIENT LIST`. */
    connectionName?: string;
    /** `true` for the defaults. */
    tls?: boolean | RedisTlsOptions;
    /** Sentinels that know where the primary is. */
    sentinels?: {
        host?: string;
        port?: number;
    }[];
    /** What the sentinels call the primary. */
    name?: string;
    sentinelUsername?: string;
    sentinelPassword?: string;
    /** TLS to the sentinels. */
    sentinelTLS?: boolean | RedisTlsOptions;
    /** Whether `tls` counts for a primary that sentinels have told. */
    enableTLSForSentinelMode?: boolean;
    /** For networks that translate addresses: what to use instead of the `host:port` that a server tells. */
    natMap?: Record<string, {
        host: string;
        port: number;
    }>;
}
/**
 * What every redis store may be told, however its server is reached.
 */
interface RedisFencingOptions {
    /**
     * Whether locks bear fencing tokens unless they say otherwise. The last token of a key stays on the server for 7 days after
     * the last fenced acquisition.
     *
     * @default false
     */
    fencing?: boolean;
}
/**
 * How a Redis cluster is reached; the form is that of `config/redis.ts` in AdonisJS.
 */
interface RedisClusterOptions extends RedisFencingOptions {
    /** Some of its nodes; they tell the others. */
    clusters: {
        host: string;
        port: number | string;
    }[];
    clusterOptions?: {
        /** What is the same for all nodes. */
        redisOptions?: Omit<RedisServerOptions, 'host' | 'port' | 'path' | 'db' | 'natMap'>;
        keyPrefix?: string;
        natMap?: Record<string, {
            host: string;
            port: number;
        }>;
    };
    connection?: undefined;
}
/**
 * Options of a store that takes its settings from an ioredis instance.
 */
interface RedisConnectionOptions extends RedisFencingOptions {
    /** A `Redis` or a `Cluster` of ioredis. Its settings are read once; it may be connected or not. */
    connection: RedisConnection;
}
/**
 * Options of a store that has a URL, plain options, or both; the URL counts more.
 */
interface RedisUrlOptions extends RedisServerOptions, RedisFencingOptions {
    /** `redis://`, or `rediss://` for TLS: `redis://user:password@host:6379/0` */
    url?: string;
    connection?: undefined;
}
/**
 * Options of a store that keeps its locks in Redis: the ways to say where that is.
 */
type RedisStoreOptions = RedisConnectionOptions | RedisUrlOptions | RedisClusterOptions;

/**
 * One acquisition of a lock, made by `Lock.hold`. With `await using` it is released at the end of the block.
 */
declare class HeldLock {
    #private;
    /** Aborted with E_LOCK_LOST when the lease is lost; see `Lock.signal`. */
    get signal(): AbortSignal;
    /** See `Lock.fencingToken`. */
    get fencingToken(): bigint | null;
    /** See `Lock.isHeld`. */
    isHeld(): boolean;
    /**
     * Makes the lease end the given time from now; see `Lock.extend`.
     *
     * @param ttl - The lock's own TTL unless given
     * @throws E_LOCK_NOT_OWNED if it isn't held any longer
     */
    extend(ttl?: Duration): Promise<void>;
    /**
     * Releases what was acquired.
     *
     * @throws E_LOCK_NOT_OWNED if it isn't held any longer
     */
    release(): Promise<void>;
    /**
     * Releases what was acquired, unless that has been done.
     *
     * @throws E_LOCK_NOT_OWNED if it was lost meanwhile: what the block did may have happened without the lock
     */
    [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Options of the error classes: the standard `ErrorOptions` plus AdonisJS's `code` and `status`.
 */
interface LockErrorOptions extends ErrorOptions {
    code?: string;
    status?: number;
}
/**
 * A lock was to be released or extended by somebody who doesn't hold it: it was never acquired, it expired, it was
 * freed by force, or somebody else acquired it meanwhile.
 *
 * When `run` rejects with it because the lease was lost while the callback worked, `result` carries what the callback
 * returned.
 */
declare class E_LOCK_NOT_OWNED extends Exception {
    static code: string;
    static status: number;
    static message: string;
    /** What the callback of `run` returned before the lost lease was noticed. */
    result?: unknown;
    constructor(_args?: unknown, options?: LockErrorOptions);
}
/**
 * The storage below a store failed. `cause` is the driver's error.
 */
declare class E_LOCK_STORAGE_ERROR extends Exception {
    static code: string;
    static status: number;
    /**
     * @param args - What went wrong, in words
     */
    constructor(args: [{
        message: string;
    } | string], options?: LockErrorOptions);
}
/**
 * A lock was wanted from a `Verrou` that has been closed, or was waited for while it was closed.
 */
declare class E_LOCK_CLOSED extends Exception {
    static code: string;
    static status: number;
    static message: string;
    constructor(_args?: unknown, options?: LockErrorOptions);
}
/** Why a lease is over that nobody has released. */
type LossReason = 'expired' | 'not_owned' | 'unreachable' | 'max' | 'stalled' | 'closed';
/**
 * A lock that was held is held no longer, though nobody has released it. The reason of a lock's `signal`.
 */
declare class E_LOCK_LOST extends Exception {
    static code: string;
    static status: number;
    /** The lock's key. */
    readonly key: string;
    readonly reason: LossReason;
    constructor(args: [key: string, reason: LossReason], options?: LockErrorOptions);
}
/**
 * A lock was wanted by `hold` and could not be had within its chances and its time.
 */
declare class E_LOCK_NOT_ACQUIRED extends Exception {
    static code: string;
    static status: number;
    /** The lock's key. */
    readonly key: string;
    constructor(args: [key: string], options?: LockErrorOptions);
}
/**
 * The addon can't be loaded here: there is none for this platform, its package wasn't installed, or it doesn't fit. Thrown
 * when the package is imported. The message says what to do, `cause` is what went wrong below.
 */
declare class E_LOCK_UNSUPPORTED_PLATFORM extends Exception {
    static code: string;
    static status: number;
    /**
     * @param args - Why, in words
     */
    constructor(args: [string], options?: LockErrorOptions);
}

type errors_d_E_LOCK_CLOSED = E_LOCK_CLOSED;
declare const errors_d_E_LOCK_CLOSED: typeof E_LOCK_CLOSED;
type errors_d_E_LOCK_LOST = E_LOCK_LOST;
declare const errors_d_E_LOCK_LOST: typeof E_LOCK_LOST;
type errors_d_E_LOCK_NOT_ACQUIRED = E_LOCK_NOT_ACQUIRED;
declare const errors_d_E_LOCK_NOT_ACQUIRED: typeof E_LOCK_NOT_ACQUIRED;
type errors_d_E_LOCK_NOT_OWNED = E_LOCK_NOT_OWNED;
declare const errors_d_E_LOCK_NOT_OWNED: typeof E_LOCK_NOT_OWNED;
type errors_d_E_LOCK_STORAGE_ERROR = E_LOCK_STORAGE_ERROR;
declare const errors_d_E_LOCK_STORAGE_ERROR: typeof E_LOCK_STORAGE_ERROR;
type errors_d_E_LOCK_UNSUPPORTED_PLATFORM = E_LOCK_UNSUPPORTED_PLATFORM;
declare const errors_d_E_LOCK_UNSUPPORTED_PLATFORM: typeof E_LOCK_UNSUPPORTED_PLATFORM;
declare const errors_d_InvalidArgumentsException: typeof InvalidArgumentsException;
type errors_d_LockErrorOptions = LockErrorOptions;
type errors_d_LossReason = LossReason;
declare namespace errors_d {
  export { errors_d_E_LOCK_CLOSED as E_LOCK_CLOSED, errors_d_E_LOCK_LOST as E_LOCK_LOST, errors_d_E_LOCK_NOT_ACQUIRED as E_LOCK_NOT_ACQUIRED, errors_d_E_LOCK_NOT_OWNED as E_LOCK_NOT_OWNED, errors_d_E_LOCK_STORAGE_ERROR as E_LOCK_STORAGE_ERROR, errors_d_E_LOCK_UNSUPPORTED_PLATFORM as E_LOCK_UNSUPPORTED_PLATFORM, errors_d_InvalidArgumentsException as InvalidArgumentsException };
  export type { errors_d_LockErrorOptions as LockErrorOptions, errors_d_LossReason as LossReason };
}

/** What `run` returns: whether the callback ran, and what it returned. */
type RunResult<T> = [executed: true, result: T] | [executed: false, result: null];

/**
 * A lock on one key. Made by `createLock` or `restoreLock`.
 *
 * A lock is not re-entrant: a second `acquire` of the same object waits like any other. Each acquisition has an owner of
 * its own.
 */
declare class Lock {
    #private;
    /**
     * @param key - The key to lock, any non-empty string
     * @param lockStore - Any object with the five methods of a `LockStore`
     * @param config - Retry defaults and the logger
     * @param owner - The identity of the first acquisition, or of the one that is restored
     * @param ttl - Milliseconds that a lease lasts; `null` for ever
     * @param expirationTime - When the restored lease ends, in milliseconds since the Unix epoch
     * @throws InvalidArgumentsException if an argument can't be used
     */
    constructor(key: string, lockStore: LockStore, config: ResolvedLockConfig, owner?: string, ttl?: number | null, expirationTime?: number | null);
    /**
     * Acquires the lock, waiting until it is free, until the chances or the time of `retry` are used up, or until `signal`
     * is aborted.
     *
     * @returns `true` if the lock was acquired, `false` if chances or time were used up. Never throws for contention
     * @throws InvalidArgumentsException if an option can't be used; the signal's reason if it is aborted; E_LOCK_CLOSED if
     * the lock manager is closed; whatever a custom store throws
     */
    acquire(options?: LockAcquireOptions): Promise<boolean>;
    /**
     * Tries to acquire the lock once, without waiting.
     *
     * @returns Whether the lock was acquired
     */
    acquireImmediately(): Promise<boolean>;
    /**
     * Acquires the lock, runs the callback and releases what was acquired.
     *
     * @param callback - Gets this lock. Its error wins over a failing release, which is logged
     * @param options - As for `acquire`
     * @returns `[true, result]`, or `[false, null]` if the lock couldn't be acquired
     * @throws E_LOCK_NOT_OWNED with the callback's `result`, if the lease was lost while the callback ran; what `acquire`
     * throws
     */
    run<T>(callback: (lock: Lock) => Promise<T> | T, options?: LockAcquireOptions): Promise<RunResult<T>>;
    /**
     * As `run`, but tries to acquire the lock only once, without waiting.
     */
    runImmediately<T>(callback: (lock: Lock) => Promise<T> | T): Promise<RunResult<T>>;
    /**
     * Acquires the lock and resolves to what is held, for `await using`: it is released at the end of the block.
     *
     * @param options - As for `acquire`
     * @throws E_LOCK_NOT_ACQUIRED if chances or time are used up; what `acquire` throws
     */
    hold(options?: LockAcquireOptions): Promise<HeldLock>;
    /**
     * Releases the lock.
     *
     * @throws E_LOCK_NOT_OWNED if it isn't held: never acquired, expired, taken over or freed by force
     */
    release(): Promise<void>;
    /**
     * Frees the key whoever holds it.
     */
    forceRelease(): Promise<void>;
    /**
     * Makes the lease end the given time from now. An expired lease is not revived.
     *
     * @param ttl - The lock's own TTL unless given
     * @throws E_LOCK_NOT_OWNED if the lock isn't held; InvalidArgumentsException if the lock has no TTL and none is given,
     * or if it can't be used
     */
    extend(ttl?: Duration): Promise<void>;
    /**
     * Tells whether somebody, anybody, holds the key.
     */
    isLocked(): Promise<boolean>;
    /**
     * Whether the lease that this object acquired, extended or restored last is over. `false` before that, after
     * `release`, and for a lock without TTL.
     */
    isExpired(): boolean;
    /**
     * Milliseconds until the lease ends that this object acquired, extended or restored last; negative once it is over.
     * `null` before that, after `release`, and for a lock without TTL.
     */
    getRemainingTime(): number | null;
    /**
     * Whether that lease is neither released nor lost nor over: by a clock that counts the time in which the machine was
     * suspended, and if it is extended natively, even in the line after the event loop was blocked. `false` from the call of
     * `release` on, whatever becomes of it. That the lock was freed by force shows at the next extension, or at the lease's end.
     */
    isHeld(): boolean;
    /**
     * A signal of that lease: aborted with E_LOCK_LOST when it ran out, was taken or freed by force, or could not be extended
     * in time; not by a release. Aborted already where nothing is held.
     */
    get signal(): AbortSignal;
    /** The fencing token of the last acquisition, greater than all before it for this key; `null` if it has none. */
    get fencingToken(): bigint | null;
    /** The owner of the last acquisition, or of the first one if there hasn't been any. */
    getOwner(): string;
    /**
     * The lock as plain JSON, for `restoreLock` in this process or another one. Closing the lock manager leaves it alone.
     */
    serialize(): SerializedLock;
    toJSON(): SerializedLock;
}

/**
 * Makes locks on one store.
 */
declare class LockFactory {
    #private;
    /**
     * @param store - Where the locks are kept: any object with the five methods of a `LockStore`
     * @param options - Retry defaults and the logger
     * @throws InvalidArgumentsException if the store lacks a method or an option can't be used
     */
    constructor(store: LockStore, options?: LockFactoryOptions);
    /**
     * Makes a lock; acquires nothing yet.
     *
     * @param name - The key to lock, any non-empty string
     * @param ttl - How long a lease lasts unless it is extended; `null` for ever
     * @throws InvalidArgumentsException if the key, the TTL or an option can't be used
     */
    createLock(name: string, ttl?: Duration, options?: CreateLockOptions): Lock;
    /**
     * Makes a lock again from what `serialize()` returned, in this process or another: it can release and extend what
     * was acquired there.
     *
     * @throws InvalidArgumentsException if a field is missing or ill-typed
     */
    restoreLock(lock: SerializedLock): Lock;
    /**
     * Ends waiting acquires with E_LOCK_CLOSED and refuses new ones, at once. Locks that are held can still be released;
     * with `release` that is done here.
     *
     * @returns Resolves when what is to be released is released and nobody who waited has left a lease behind, or the time is
     * over
     * @throws InvalidArgumentsException if an option can't be used
     */
    close(options?: CloseOptions): Promise<void>;
    /**
     * What is known in this process of waits and leases of the store, and of what it costs to speak to it.
     */
    stats(): StoreStats;
}

/**
 * Settings of a {@link Verrou}.
 */
interface VerrouConfig<KnownStores extends Record<string, StoreFactory>> {
    /** The store of `createLock` and `restoreLock`. */
    default: keyof KnownStores;
    /** The stores by name; made on first use. */
    stores: KnownStores;
    /** Where to log; pino's and AdonisJS's loggers fit. Nothing is logged without it. */
    logger?: Logger;
    /** Retry defaults for all locks. */
    retry?: RetryConfig;
    /** Whether leases are extended while they are held, for all locks; see `LockAcquireOptions.autoExtend`. */
    autoExtend?: boolean | AutoExtendOptions;
}
/**
 * Locks on several stores, each known by a name.
 */
declare class Verrou<KnownStores extends Record<string, StoreFactory>> {
    #private;
    /**
     * @throws InvalidArgumentsException if `stores`, `default` or the store that it names is missing, or a retry setting
     * can't be used
     */
    constructor(config: VerrouConfig<KnownStores>);
    /**
     * The locks of one store; the default one unless named.
     *
     * @throws InvalidArgumentsException if there is no such store, or if what its factory makes isn't a store; whatever
     * the factory throws
     */
    use<Name extends keyof KnownStores>(store?: Name): LockFactory;
    /**
     * Makes a lock on the default store; see `LockFactory.createLock`.
     */
    createLock(name: string, ttl?: Duration, options?: CreateLockOptions): Lock;
    /**
     * Makes a lock of the default store again; see `LockFactory.restoreLock`.
     */
    restoreLock(lock: SerializedLock): Lock;
    /**
     * What is known in this process of waits and leases, by the names of the stores that have been used; see
     * `LockFactory.stats`.
     */
    stats(): {
        [Name in keyof KnownStores]?: StoreStats;
    };
    /**
     * Ends waiting acquires with E_LOCK_CLOSED and refuses new ones, at once; waits until the stores have settled what they had
     * asked for, then closes the connections of the stores. Locks that are held can still be released (a store on a server
     * connects again for it); with `release` that is done here, before the connections are closed. What is closed already
     * stays so.
     *
     * @returns Resolves when everything is closed
     * @throws InvalidArgumentsException if an option can't be used
     */
    close(options?: CloseOptions): Promise<void>;
}

/**
 * The part of AdonisJS's `Codemods` that `configure` uses.
 */
interface ConfigureCodemods {
    makeUsingStub(stubsRoot: string, stubPath: string, stubState: Record<string, unknown>): Promise<unknown>;
    updateRcFile(callback: (rcFile: {
        addProvider(path: string): unknown;
    }) => void): Promise<void>;
    defineEnvVariables(variables: Record<string, string>): Promise<void>;
    defineEnvValidations(validations: {
        leadingComment: string;
        variables: Record<string, string>;
    }): Promise<void>;
    listPackagesToInstall(packages: {
        name: string;
        isDevDependency: boolean;
    }[]): Promise<void>;
}
/**
 * The part of AdonisJS's `Configure` command that `configure` uses. The commands of AdonisJS 6 and 7 have it.
 */
interface ConfigureCommand {
    /** The package to configure, as it was typed. */
    name: string;
    parsedFlags: Record<string, unknown>;
    exitCode?: number;
    app: {
        makePath(...paths: string[]): string;
        migrationsPath(...paths: string[]): string;
    };
    prompt: {
        choice(title: string, choices: readonly string[], options?: {
            validate?(value: string): boolean | string;
        }): Promise<string>;
    };
    logger: {
        logError(message: string): void;
    };
    createCodemods(): Promise<ConfigureCodemods>;
}
/**
 * Sets the package up in an AdonisJS app: `node ace configure <package>`, which `node ace add` runs too.
 *
 * Writes `config/lock.ts` for the store given by `--store` (or asked for), registers the provider, defines the
 * environment variable `LOCK_STORE` and its validation, and creates the migration of the `locks` table for the
 * `database` store. Files that exist are left alone unless `--force` is given.
 *
 * An unknown store is reported on the command line, with exit code 1; nothing is written then.
 */
declare function configure(command: ConfigureCommand): Promise<void>;

/**
 * What is published on the channels of `node:diagnostics_channel`.
 */

/** What all messages tell. One object goes with an operation from its start to its end. */
interface LockMessage {
    readonly key: string;
    /** The store's name in the config; without a config, `LockFactoryOptions.name` or the name of its class. */
    readonly store: string | undefined;
    /** The identity of the acquisition, once there is one. Some stores make a name only when this is read. */
    readonly owner: string | undefined;
    /** What went wrong, if something did. */
    error?: unknown;
}
/**
 * Messages of `tracingChannel('loquet:acquire')`: from the call to its outcome.
 */
interface AcquireMessage extends LockMessage {
    /** Milliseconds that the lease is to last; `null` for ever. */
    readonly ttl: number | null;
    /** `failed`: it has rejected, with `error`. Unknown until the end. */
    outcome?: 'acquired' | 'refused' | 'failed';
    /** Milliseconds from the call to the outcome. */
    waited?: number;
    /** How often the lock was tried for, where that is known: it was answered at once, or there was one chance only. */
    attempts?: number;
}
/**
 * Messages of `tracingChannel('loquet:hold')`: from the grant to the release or the loss, which `error` tells of then.
 */
interface HoldMessage extends LockMessage {
    /** As when it was acquired. */
    readonly ttl: number | null;
    outcome?: 'released' | 'lost';
    /** Milliseconds from the grant to the end. */
    held?: number;
}
/**
 * Messages of `tracingChannel('loquet:extend')`.
 */
interface ExtendMessage extends LockMessage {
    /** Milliseconds that the lease is to last from now on. */
    readonly ttl: number;
    /** Whether nobody has asked for it: see `LockAcquireOptions.autoExtend`. */
    readonly isAutomatic: boolean;
    outcome?: 'extended' | 'failed';
}
/**
 * Messages of `tracingChannel('loquet:release')`.
 */
interface ReleaseMessage extends LockMessage {
    outcome?: 'released' | 'failed';
}
/**
 * Messages of `channel('loquet:lost')`: a lock is held no longer, though nobody has released it.
 */
interface LostMessage extends LockMessage {
    readonly reason: LossReason;
    readonly error: E_LOCK_LOST;
}

/**
 * The `./types` entry: the types of the core, and those that tie them to an AdonisJS app.
 *
 * What an app augments (`LockStoresList`) and what it names while doing so (`InferLockStores`) are declared in this very
 * file: inside `declare module` TypeScript finds neither through a re-export.
 */

/**
 * What a config provider may use of the app that it is resolved in. AdonisJS's `ApplicationService` has it.
 */
interface ConfigProviderApp {
    container: {
        /** Resolves a binding of the container; rejects if there is none of that name. */
        make(binding: string): Promise<unknown>;
    };
}
/**
 * A value that is computed once the app has booted. It is the `ConfigProvider` of AdonisJS in both directions: what
 * `configProvider.create` returns is taken here, and what is made here may be passed to `configProvider.resolve`.
 */
interface ConfigProvider<T> {
    type: 'provider';
    resolver(app: ConfigProviderApp): Promise<T>;
}
/**
 * The stores of a config, by name: store factories, or providers of store factories.
 */
type KnownStoresConfig = Record<string, ConfigProvider<StoreFactory> | StoreFactory>;
/**
 * What `defineConfig` takes and returns.
 */
interface LockConfig<KnownStores extends KnownStoresConfig> {
    /** The name of the store that is used unless `use('name')` picks another one. */
    default: keyof KnownStores;
    /** All stores, by name. */
    stores: KnownStores;
    /** Retry defaults for the locks of all stores. */
    retry?: RetryConfig;
    /** Whether leases are extended while they are held, for all locks; see `LockAcquireOptions.autoExtend`. */
    autoExtend?: boolean | AutoExtendOptions;
    /**
     * Whether the app's emitter emits `lock:acquired`, `lock:refused`, `lock:extended`, `lock:released` and `lock:lost`, for all
     * locks of the process.
     *
     * @default false
     */
    events?: boolean;
}
/**
 * Options of a store that keeps its locks in Redis, in an AdonisJS app.
 */
interface RedisStoreConfig extends RedisFencingOptions {
    /**
     * A connection of `config/redis.ts`.
     *
     * @default the default connection of `config/redis.ts`
     */
    connectionName?: string;
}
/**
 * Options of a store that keeps its locks in a table of the app's database.
 */
interface DatabaseStoreConfig extends Omit<DatabaseTableOptions, 'tableName' | 'autoCreateTable'> {
    /**
     * A connection of `config/database.ts`.
     *
     * @default the default connection of `config/database.ts`
     */
    connectionName?: string;
    /**
     * The table that holds the locks. The migration that `configure` writes creates the default one. A dot separates the
     * table from the schema (or database) that it is in.
     *
     * @default 'locks'
     */
    tableName?: string;
    /**
     * Create the table when it is missing, for apps that don't use the migration: with the first lock, not before.
     *
     * @default false
     */
    autoCreateTable?: boolean;
}

/**
 * Declares the config of the locks (`config/lock.ts`) and checks it: the stores, which of them is the default, and
 * optionally retry defaults for all of them. Returns the config as it is.
 *
 * A store is a store factory (`{ driver: { factory } }`), or a config provider of one, such as those made by
 * {@link stores} and by AdonisJS's `configProvider.create`. Nothing is resolved or connected here.
 *
 * @param config - The config; see {@link LockConfig}
 * @throws InvalidArgumentsException (`E_INVALID_ARGUMENTS_EXCEPTION`) if `stores` or `default` is missing, if the
 * default store isn't among the stores, if a store is neither a factory nor a provider, or `events` no boolean
 */
declare function defineConfig<KnownStores extends KnownStoresConfig>(config: LockConfig<KnownStores>): LockConfig<KnownStores>;

/**
 * Options of the memory store.
 */
interface MemoryStoreOptions {
    /**
     * The name of a lock space that all threads of the process share: worker threads that use the same name exclude each
     * other. Without it the locks are private to the store's instance.
     *
     * A lock without TTL is freed when the thread that acquired it ends.
     */
    shared?: string;
    /**
     * Whether locks bear fencing tokens unless they say otherwise. There is one counter of tokens for all keys of a lock space.
     *
     * @default false
     */
    fencing?: boolean;
}

/**
 * The stores that a config may name, as config providers: a store is made when the app has booted, so defining a config
 * neither loads nor connects anything.
 */
declare const stores: {
    /**
     * Keeps locks in the memory of this process. Private to its instance unless `shared` names a lock space for all
     * worker threads of the process.
     */
    memory(options?: MemoryStoreOptions): ConfigProvider<StoreFactory>;
    /**
     * Keeps locks in Redis: in the server of a connection of `config/redis.ts`, the default one unless `connectionName`
     * names another. Resolving it rejects if there is no such connection; nothing is connected before the first lock.
     */
    redis(config?: RedisStoreConfig): ConfigProvider<StoreFactory>;
    /**
     * Keeps locks in a database table: in the database of a connection of `config/database.ts`, the default one unless
     * `connectionName` names another. Resolving it rejects if there is no such connection; nothing is connected before the
     * first lock. The table is that of the migration unless `tableName` names another.
     */
    database(config?: DatabaseStoreConfig): ConfigProvider<StoreFactory>;
    /**
     * Keeps locks in a DynamoDB table, over the app's own client. Resolving it asks nothing of DynamoDB. The table is made
     * with the first lock if it is missing, unless `table.autoCreate` is `false`.
     */
    dynamodb(config: DynamoDbOptions): ConfigProvider<StoreFactory>;
};

export { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR, HeldLock, Lock, LockFactory, Verrou, configure, defineConfig, errors_d as errors, stores };
export type { AcquireMessage, AtomicDatabaseAdapter, AutoExtendOptions, CloseOptions, ConfigProvider, ConfigProviderApp, ConfigureCodemods, ConfigureCommand, ContendedKey, CreateLockOptions, DatabaseAdapter, DatabaseConnectionOptions, DatabaseOptions, DatabaseStoreConfig, DatabaseStoreOptions, DatabaseTableOptions, DatabaseTlsOptions, Duration, DurationSummary, DynamoDbConnection, DynamoDbOptions, DynamoDbTable, ExtendMessage, HoldMessage, KnexConnection, KnexStoreOptions, KnownStoresConfig, KyselyConnection, KyselyOptions, LockAcquireOptions, LockConfig, LockFactoryOptions, LockMessage, LockStore, Logger, LossReason, LostMessage, MemoryStoreOptions, RedisClusterOptions, RedisConnection, RedisConnectionOptions, RedisFencingOptions, RedisServerOptions, RedisStoreConfig, RedisStoreOptions, RedisTlsOptions, RedisUrlOptions, ReleaseMessage, ResolvedAutoExtend, ResolvedLockConfig, RetryConfig, RunResult, SerializedLock, StoreFactory, StoreStats, VerrouConfig };
