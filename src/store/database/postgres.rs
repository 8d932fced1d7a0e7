//! PostgreSQL.
//!
//! # The table
//! `key varchar(255) primary key, owner varchar(255), expiration bigint`: milliseconds since the epoch, or null for a
//! lease without end. A row that has expired is a lock that is free.
//!
//! The last fencing tokens are in `<table>_fencing`: `key varchar(255) primary key, token bigint`. A lock and its token are
//! taken by one statement.
//!
//! # The statements
//! One for each kind of command, over arrays. Who is refused only reads: an `INSERT … ON CONFLICT` alone would lock the
//! holder's row, which is a write, a transaction number and a wait for the disk. A release of leases that end commits
//! asynchronously: lost in a crash of the server it costs the rest of a TTL, never exclusion.
//!
//! # Wake-ups
//! A process that waits for a key listens to the key's channel and holds a shared advisory lock. Who releases tries to get
//! that lock for itself: if that works, nobody waits, and nothing is sent. The server frees the lock of a process that
//! dies. See `listen.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};

use super::column::{fingerprint, quoted};
use super::connect;
use super::dialect::{Dialect, Failure, Holding, Sights, Table, Trouble, trouble_below};
use super::listen::{Ears, MeetingPoint};
use super::pool::Pool;
use super::settings::{Server, Settings};
use super::wave::Wave;
use crate::store::random_name;

mod statements;
use self::statements::Statements;

/// One kind of database: see the [module documentation](self).
pub(super) struct Postgres {
    pub(super) options: PgConnectOptions,
    /// As the setting has it; empty: the server's own.
    search_path: String,
    /// The table, so that two tables don't share channels.
    table: String,
    /// The one of the fencing tokens.
    tokens: String,
    sql: Statements,
    /// The first number of all advisory locks.
    lock_class: i32,
    /// A pooler gives each transaction a session of its own choice: nothing is kept in one.
    is_pooled: AtomicBool,
}

/// A session, and what ends it.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    /// Process number and start: a number alone may be somebody else's by then.
    identity: Option<(i32, String)>,
}

impl Postgres {
    pub(super) fn new(
        settings: &Settings,
        server: &Server,
        search_path: &[String],
        is_pooled: bool,
        application_name: Option<&str>,
    ) -> Self {
        let qualified = |table: &str| {
            let name = quoted(table, '"');
            let schema = settings.schema.as_ref();
            schema.map_or(name.clone(), |schema| format!("{}.{name}", quoted(schema, '"')))
        };
        let (table, tokens) = (qualified(&settings.table), qualified(&settings.token_table()));
        Self {
            options: connect::postgres(server, application_name),
            search_path: connect::search_path(search_path),
            sql: Statements::new(&table, &tokens),
            lock_class: number(&fingerprint(&["loquet", &table])),
            table,
            tokens,
            is_pooled: AtomicBool::new(is_pooled),
        }
    }

    /// For a session that is nobody else's. A setting of its own tells it apart.
    pub(super) fn direct_options(&self, name: &str) -> PgConnectOptions {
        let options = self.options.clone().options([("loquet.session", name)]);
        if self.search_path.is_empty() {
            return options;
        }
        options.options([("search_path", &self.search_path)])
    }

    /// Names of what those share who wait for a key.
    pub(super) fn meeting_point(&self, key: &str) -> MeetingPoint {
        let print = fingerprint(&[&self.table, key]);
        MeetingPoint { lock: number(&print), channel: format!("loquet_{print}") }
    }

    /// The first number of all advisory locks.
    pub(super) fn lock_class(&self) -> i32 {
        self.lock_class
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.is_pooled.load(Ordering::Relaxed)
    }

    pub(super) async fn notify(session: &mut Session, channel: &str) -> sqlx::Result<()> {
        let query = sqlx::query("SELECT pg_notify($1, '')").bind(channel).persistent(false);
        query.execute(&mut session.connection).await.map(drop)
    }

    /// A pooler may give two messages to two sessions unless they are in one transaction.
    async fn begin(&self, session: &mut Session) -> sqlx::Result<()> {
        if self.is_pooled() && self.search_path.is_empty() {
            session.connection.execute("BEGIN").await?;
        } else if self.is_pooled() {
            let begin = format!("BEGIN; SET LOCAL search_path = {}", self.search_path);
            session.connection.execute(AssertSqlSafe(begin)).await?;
        }
        Ok(())
    }

    async fn end(&self, session: &mut Session) -> sqlx::Result<()> {
        if self.is_pooled() {
            session.connection.execute("COMMIT").await?;
        }
        Ok(())
    }
}

fn number(print: &str) -> i32 {
    u32::from_str_radix(&print[..8], 16).unwrap_or_default().cast_signed()
}

impl Dialect for Postgres {
    type Connection = Session;
    type Session = (i32, String);

    /// Releases don't wait for the disk.
    const SEPARATES_KINDS: bool = true;

    const LISTENS: bool = true;

    async fn connect(&self, suspects: &[Self::Session]) -> sqlx::Result<Session> {
        if self.is_pooled() {
            let options = self.options.clone().statement_cache_capacity(0);
            return Ok(Session { connection: options.connect().await?, identity: None });
        }
        let name = random_name();
        let mut connection = self.direct_options(&name).connect().await?;
        // Nothing is prepared under a name before it is known that the session is our own: behind a pooler the name may
        // be that of somebody else's statement.
        let row = sqlx::query(
            "SELECT current_setting('loquet.session', true), pid, backend_start::text FROM pg_stat_activity \
             WHERE pid = pg_backend_pid()",
        )
        .persistent(false)
        .fetch_one(&mut connection)
        .await?;
        if row.try_get::<Option<String>, _>(0)?.is_none_or(|found| found != name) {
            return Err(sqlx::Error::Configuration(Box::new(connect::PoolerBetween)));
        }
        let identity = row.try_get::<Option<String>, _>(2)?.zip(row.try_get::<Option<i32>, _>(1)?);
        for (process, start) in suspects {
            connect::end(&mut connection, *process, start).await?;
        }
        Ok(Session { connection, identity: identity.map(|(start, process)| (process, start)) })
    }

    fn session(session: &Session) -> Option<Self::Session> {
        session.identity.clone()
    }

    async fn perform(&self, session: &mut Session, wave: &Wave) -> Result<Sights, Failure> {
        let mut sights = Sights::new();
        self.begin(session).await?;
        if !wave.saves.is_empty() {
            self.save(session, &wave.saves, wave.gives_tokens(), &mut sights).await?;
        }
        if !wave.moves.is_empty() {
            self.change(session, &wave.moves, wave.gives_tokens(), &mut sights).await?;
        }
        if !wave.deletes.is_empty() {
            self.delete(session, &wave.deletes, &mut sights).await?;
        }
        if !wave.questions.is_empty() {
            self.question(session, &wave.questions, wave.asks_for_tokens(), &mut sights).await?;
        }
        self.end(session).await?;
        Ok(sights)
    }

    async fn recover(&self, session: &mut Session) -> sqlx::Result<()> {
        if self.is_pooled() {
            session.connection.execute("ROLLBACK").await?;
        }
        Ok(())
    }

    fn become_pooled(&self) -> bool {
        !self.is_pooled.swap(true, Ordering::Relaxed)
    }

    /// Who waits behind a pooler can't be seen.
    fn is_blind(&self) -> bool {
        self.is_pooled()
    }

    /// See `listen.rs`.
    async fn listen(&self, ears: &mut Ears, pool: &Pool<Self>) -> sqlx::Result<bool> {
        super::listen::listen(self, ears, pool).await
    }

    async fn create_table(&self, session: &mut Session, table: Table) -> sqlx::Result<()> {
        let sql = match table {
            Table::Locks => &self.sql.create,
            Table::Tokens => &self.sql.create_tokens,
        };
        // IF NOT EXISTS isn't atomic: another session that makes it may be seen by its row in pg_class or pg_type (23505), by
        // its table (42P07), or, if it commits between the looks for both, by its row type (42710).
        match session.connection.execute(sql.clone()).await {
            Err(sqlx::Error::Database(error)) => match error.code().as_deref() {
                Some("23505" | "42P07") => Ok(()),
                // A type of somebody else's may have the name, too.
                Some("42710") if !self.lacks_table(session, table).await? => Ok(()),
                _ => Err(sqlx::Error::Database(error)),
            },
            other => other.map(drop),
        }
    }

    async fn lacks_table(&self, session: &mut Session, table: Table) -> sqlx::Result<bool> {
        self.begin(session).await?;
        let name = match table {
            Table::Locks => &self.table,
            Table::Tokens => &self.tokens,
        };
        let query = sqlx::query("SELECT to_regclass($1) IS NULL").bind(name).persistent(false);
        let row = query.fetch_one(&mut session.connection).await?;
        self.end(session).await?;
        row.try_get(0)
    }

    async fn holdings(&self, session: &mut Session, keys: &[String]) -> sqlx::Result<Vec<Holding>> {
        self.begin(session).await?;
        let query = sqlx::query(self.sql.question.clone()).bind(keys).persistent(!self.is_pooled());
        let rows = query.fetch_all(&mut session.connection).await?;
        self.end(session).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    async fn prune(&self, session: &mut Session, age: Duration, most: u32) -> sqlx::Result<u64> {
        self.begin(session).await?;
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let query = sqlx::query(self.sql.prune.clone()).bind(age).bind(i64::from(most));
        let done = query.persistent(false).execute(&mut session.connection).await?;
        self.end(session).await?;
        Ok(done.rows_affected())
    }

    fn trouble(&self, error: &sqlx::Error) -> Trouble {
        if matches!(error, sqlx::Error::Configuration(reason) if reason.is::<connect::PoolerBetween>()) {
            return Trouble::Pooled;
        }
        if let Some(trouble) = trouble_below(error) {
            return trouble;
        }
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
        match code.as_ref() {
            "42P01" | "3F000" => Trouble::NoTable,
            "25006" => Trouble::Elsewhere,
            // A statement that the session doesn't know, or knows already.
            "26000" | "42P05" => Trouble::Pooled,
            // Deadlocks, serialization, locks, starting up, too many connections.
            "40001" | "40P01" | "55P03" | "57P03" | "53300" | "55006" => Trouble::Passing,
            // A commit that nobody may have heard of; a server that shuts down.
            "40003" | "57P01" | "57P02" | "57P05" => Trouble::Lost,
            // PgBouncer, of a setting that a session is to begin with.
            "08P01" if error.to_string().contains("startup parameter") => Trouble::Pooled,
            code if code.starts_with("08") => Trouble::Lost,
            _ => Trouble::Final,
        }
    }
}
