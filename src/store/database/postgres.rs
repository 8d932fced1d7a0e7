//! PostgreSQL.
//!
//! # The table
//! `key varchar(255) primary key, owner varchar(255), expiration bigint`: milliseconds since the epoch, or null for a
//! lease without end. A row that has expired is a lock that is free.
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
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row, SqlSafeStr, SqlStr};

use super::column::{fingerprint, quoted};
use super::connect;
use super::dialect::{Dialect, Failure, Holding, Sights, Trouble, trouble_below};
use super::listen::{Ears, MeetingPoint};
use super::pool::Pool;
use super::settings::{Server, Settings};
use super::wave::{DeleteRow, MoveRow, QuestionRow, SaveRow, Seen, Wave};
use crate::store::random_name;

/// When the statement came: milliseconds since the epoch.
const NOW: &str = "floor(extract(epoch from statement_timestamp()) * 1000)::bigint";

/// The same, rounded up: what a lease is counted from, so that it doesn't end before its holder believes.
const START: &str = "ceil(extract(epoch from statement_timestamp()) * 1000)::bigint";

/// One kind of database: see the [module documentation](self).
pub(super) struct Postgres {
    pub(super) options: PgConnectOptions,
    /// As the setting has it; empty: the server's own.
    search_path: String,
    /// The table, so that two tables don't share channels.
    table: String,
    save: SqlStr,
    change: SqlStr,
    delete: SqlStr,
    question: SqlStr,
    create: SqlStr,
    prune: SqlStr,
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
        let name = quoted(&settings.table, '"');
        let table =
            settings.schema.as_ref().map_or(name.clone(), |schema| format!("{}.{name}", quoted(schema, '"')));
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let is_live = format!("(held.expiration IS NULL OR held.expiration > {NOW})");
        Self {
            options: connect::postgres(server, application_name),
            search_path: connect::search_path(search_path),
            save: sql(format!(
                "WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS w(key, owner, ttl)), \
                 taken AS (INSERT INTO {table} AS held (key, owner, expiration) \
                 SELECT w.key, w.owner, {START} + w.ttl FROM wanted w \
                 WHERE NOT EXISTS (SELECT FROM {table} held WHERE held.key = w.key AND {is_live}) ORDER BY w.key \
                 ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expiration = excluded.expiration \
                 WHERE held.expiration <= {NOW} RETURNING held.key) \
                 SELECT w.key, taken.key IS NOT NULL, held.expiration - {NOW} FROM wanted w \
                 LEFT JOIN taken ON taken.key = w.key LEFT JOIN {table} held ON held.key = w.key"
            )),
            change: sql(format!(
                "UPDATE {table} held SET owner = w.new_owner, expiration = {START} + w.ttl \
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS w(key, old_owner, new_owner, ttl) \
                 WHERE held.key = w.key AND held.owner = w.old_owner AND {is_live} RETURNING held.key"
            )),
            // The setting holds until the end of the transaction, which is the end of the statement.
            delete: sql(format!(
                "WITH gone AS (DELETE FROM {table} held \
                 USING unnest($1::text[], $2::text[], $3::int[], $4::text[]) AS w(key, owner, lock, channel) \
                 WHERE held.key = w.key AND (w.owner IS NULL OR held.owner = w.owner AND {is_live}) \
                 RETURNING held.key, held.expiration, w.lock, w.channel) \
                 SELECT gone.key, CASE WHEN pg_try_advisory_xact_lock($5, gone.lock) THEN false \
                 ELSE (SELECT true FROM pg_notify(gone.channel, '')) END, \
                 CASE WHEN (SELECT bool_and(expiration IS NOT NULL) FROM gone) \
                 THEN set_config('synchronous_commit', 'off', true) END FROM gone"
            )),
            question: sql(format!(
                "SELECT held.key, held.owner, held.expiration - {NOW} FROM {table} held \
                 WHERE held.key = ANY($1::text[]) AND {is_live}"
            )),
            create: sql(format!(
                "CREATE TABLE IF NOT EXISTS {table} (key varchar(255) NOT NULL PRIMARY KEY, \
                 owner varchar(255) NOT NULL, expiration bigint)"
            )),
            prune: sql(format!(
                "DELETE FROM {table} WHERE key = ANY(ARRAY(SELECT key FROM {table} \
                 WHERE expiration < {NOW} - $1::bigint LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) \
                 AND expiration < {NOW} - $1::bigint"
            )),
            table,
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
        number(&fingerprint(&["loquet", &self.table]))
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

    async fn save(&self, session: &mut Session, rows: &[SaveRow], sights: &mut Sights) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let owners: Vec<&str> = rows.iter().map(|row| row.owner.as_str()).collect();
        let ttls: Vec<Option<i64>> = rows.iter().map(|row| row.ttl).collect();
        let query = sqlx::query(self.save.clone()).bind(keys).bind(owners).bind(ttls);
        let answers = query.persistent(!self.is_pooled()).fetch_all(&mut session.connection).await?;
        for answer in answers {
            let key: &str = answer.try_get(0)?;
            let seen = if answer.try_get(1)? {
                Seen::Done { has_woken: false }
            } else {
                Seen::Refused { remaining: answer.try_get(2)? }
            };
            note(
                sights,
                rows.binary_search_by(|row| row.key.as_str().cmp(key)).map(|at| rows[at].place),
                seen,
            );
        }
        Ok(())
    }

    async fn change(&self, session: &mut Session, rows: &[MoveRow], sights: &mut Sights) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let from: Vec<&str> = rows.iter().map(|row| row.from.as_str()).collect();
        let to: Vec<&str> = rows.iter().map(|row| row.to.as_str()).collect();
        let ttls: Vec<Option<i64>> = rows.iter().map(|row| row.ttl).collect();
        let query = sqlx::query(self.change.clone()).bind(keys).bind(from).bind(to).bind(ttls);
        let answers = query.persistent(!self.is_pooled()).fetch_all(&mut session.connection).await?;
        for answer in answers {
            let key: &str = answer.try_get(0)?;
            let at = rows.binary_search_by(|row| row.key.as_str().cmp(key));
            note(sights, at.map(|at| rows[at].place), Seen::Done { has_woken: false });
        }
        Ok(())
    }

    async fn delete(
        &self,
        session: &mut Session,
        rows: &[DeleteRow],
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let owners: Vec<Option<&str>> = rows.iter().map(|row| row.owner.as_deref()).collect();
        let (locks, channels): (Vec<i32>, Vec<String>) = rows
            .iter()
            .map(|row| self.meeting_point(&row.name))
            .map(|MeetingPoint { lock, channel }| (lock, channel))
            .unzip();
        let query = sqlx::query(self.delete.clone()).bind(keys).bind(owners).bind(locks).bind(channels);
        let query = query.bind(self.lock_class()).persistent(!self.is_pooled());
        for answer in query.fetch_all(&mut session.connection).await? {
            let key: &str = answer.try_get(0)?;
            let has_woken = answer.try_get(1)?;
            let at = rows.binary_search_by(|row| row.key.as_str().cmp(key));
            note(sights, at.map(|at| rows[at].place), Seen::Done { has_woken });
        }
        Ok(())
    }

    async fn question(
        &self,
        session: &mut Session,
        rows: &[QuestionRow],
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let query = sqlx::query(self.question.clone()).bind(keys).persistent(!self.is_pooled());
        for answer in query.fetch_all(&mut session.connection).await? {
            let key: &str = answer.try_get(0)?;
            let by = Some((answer.try_get(1)?, answer.try_get(2)?));
            let at = rows.binary_search_by(|row| row.key.as_str().cmp(key));
            note(sights, at.map(|at| rows[at].place), Seen::Held { by });
        }
        Ok(())
    }
}

fn note(sights: &mut Sights, place: Result<usize, usize>, seen: Seen) {
    if let Ok(place) = place {
        sights.push((place, seen));
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
            self.save(session, &wave.saves, &mut sights).await?;
        }
        if !wave.moves.is_empty() {
            self.change(session, &wave.moves, &mut sights).await?;
        }
        if !wave.deletes.is_empty() {
            self.delete(session, &wave.deletes, &mut sights).await?;
        }
        if !wave.questions.is_empty() {
            self.question(session, &wave.questions, &mut sights).await?;
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

    async fn create_table(&self, session: &mut Session) -> sqlx::Result<()> {
        match session.connection.execute(self.create.clone()).await {
            // IF NOT EXISTS isn't atomic.
            Err(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("23505" | "42P07")) =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    async fn lacks_table(&self, session: &mut Session) -> sqlx::Result<bool> {
        self.begin(session).await?;
        let query = sqlx::query("SELECT to_regclass($1) IS NULL").bind(&self.table).persistent(false);
        let row = query.fetch_one(&mut session.connection).await?;
        self.end(session).await?;
        row.try_get(0)
    }

    async fn holdings(&self, session: &mut Session, keys: &[String]) -> sqlx::Result<Vec<Holding>> {
        self.begin(session).await?;
        let query = sqlx::query(self.question.clone()).bind(keys).persistent(!self.is_pooled());
        let rows = query.fetch_all(&mut session.connection).await?;
        self.end(session).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    async fn prune(&self, session: &mut Session, age: Duration, most: u32) -> sqlx::Result<u64> {
        self.begin(session).await?;
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let query = sqlx::query(self.prune.clone()).bind(age).bind(i64::from(most));
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
