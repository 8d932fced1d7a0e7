//! MySQL and MariaDB.
//!
//! # The table
//! `key varchar(255) primary key, owner varchar(255), expiration bigint unsigned`: milliseconds since the epoch, or null
//! for a lease without end. A table made here compares keys byte by byte.
//!
//! The last fencing tokens are in `<table>_fencing`: `key varchar(255) primary key, token bigint`.
//!
//! # The statements
//! A lone command is one statement that commits by itself. Several go in one transaction, with one statement for each
//! kind over a list of rows; a list whose count doesn't come out as expected is taken back and performed one by one. A lock
//! that wants a fencing token is taken in a transaction as well, with two statements more.
//! How a lone save ended is told by `LAST_INSERT_ID(…)`, which travels with the server's answer: 0 if the lock is ours, 1
//! if the holder's lease has no end, and otherwise its remaining milliseconds plus 2.

mod statements;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};

use self::statements::statement;
use super::column::quoted;
use super::connect;
use super::dialect::{Dialect, Failure, Holding, Sights, Table, Trouble, trouble_below};
use super::settings::{Server, Settings};
use super::wave::{DeleteRow, QuestionRow, Seen, Wave, token_of};

/// The present moment: when the statement came. Milliseconds since the epoch; the session's time zone is UTC.
const NOW: &str = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";

/// The next millisecond: what a lease is counted from, so that it doesn't end before its holder believes.
const START: &str = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 + 1 AS SIGNED)";

/// The present moment in microseconds: what fencing tokens are not less than.
const MICROS: &str = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";

/// Whether a lease lasts.
const LIVE: &str = "(expiration IS NULL OR expiration > CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED))";

/// How many rows one statement has at most, so that a connection keeps all of them prepared.
const MOST_ROWS: usize = 64;

/// One kind of database: see the [module documentation](self).
pub(super) struct MySql {
    options: MySqlConnectOptions,
    table: String,
    /// The table of the fencing tokens.
    tokens: String,
    /// For a look at the table's collation.
    name: String,
    schema: Option<String>,
    /// The table takes `Foo` for `foo`.
    ignores_case: AtomicBool,
}

/// A session, and what ends it.
pub(super) struct Session {
    connection: MySqlConnection,
    number: Option<u64>,
}

impl MySql {
    pub(super) fn new(settings: &Settings, server: &Server) -> Self {
        let schema = settings.schema.clone();
        let qualified = |table: &str| {
            let name = quoted(table, '`');
            schema.as_ref().map_or(name.clone(), |schema| format!("{}.{name}", quoted(schema, '`')))
        };
        Self {
            options: connect::mysql(server),
            table: qualified(&settings.table),
            tokens: qualified(&settings.token_table()),
            name: settings.table.clone(),
            schema,
            ignores_case: AtomicBool::new(false),
        }
    }

    /// All that changes something, in one transaction unless it is one statement.
    async fn change_all(
        &self,
        session: &mut Session,
        wave: &Wave,
        sights: &mut Sights,
    ) -> Result<(), Failure> {
        for rows in wave.saves.chunks(MOST_ROWS) {
            match rows {
                [row] if row.fenced => sights.push((row.place, self.save_one(session, row).await?)),
                rows => self.save_many(session, rows, sights).await?,
            }
        }
        for rows in wave.moves.chunks(MOST_ROWS) {
            let is_alone = rows.len() == 1;
            let changed = self.change(session, rows).await?;
            tally(rows.iter().map(|row| row.place), changed, is_alone, sights)?;
        }
        let (clears, deletes): (Vec<&DeleteRow>, Vec<&DeleteRow>) =
            wave.deletes.iter().partition(|row| row.owner.is_none());
        for rows in deletes.chunks(MOST_ROWS) {
            let is_alone = rows.len() == 1;
            let count = self.delete(session, rows).await?;
            tally(rows.iter().map(|row| row.place), count, is_alone, sights)?;
        }
        for rows in clears.chunks(MOST_ROWS) {
            self.clear(session, rows).await?;
        }
        let keys = wave.keys_to_fence(sights);
        if !keys.is_empty() {
            self.grow_tokens(session, &keys).await?;
            let tokens = self.tokens(session, &keys).await?;
            wave.fence(&tokens, sights);
        }
        Ok(())
    }
}

/// What has become of a list of rows whose number alone is told.
fn tally(
    places: impl ExactSizeIterator<Item = usize>,
    count: u64,
    is_alone: bool,
    sights: &mut Sights,
) -> Result<(), Failure> {
    if count == places.len() as u64 {
        sights.extend(places.map(|place| (place, Seen::DONE)));
        Ok(())
    } else if is_alone {
        Ok(())
    } else {
        Err(Failure::Apart)
    }
}

impl Dialect for MySql {
    type Connection = Session;
    type Session = u64;

    const IGNORES_TRAILING_BLANKS: bool = true;

    async fn connect(&self, suspects: &[u64]) -> sqlx::Result<Session> {
        let mut connection = self.options.connect().await?;
        let row = sqlx::query("SELECT CONNECTION_ID()").fetch_one(&mut connection).await?;
        let number =
            row.try_get::<u64, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(i64::cast_unsigned)).ok();
        for suspect in suspects {
            if let Err(error) = connection.execute(AssertSqlSafe(format!("KILL CONNECTION {suspect}"))).await
                && self.trouble(&error) == Trouble::Lost
            {
                return Err(error);
            }
            // Nobody may ask what it has done before it is gone: whoever waits for this has a deadline.
            while sqlx::query("SELECT 1 FROM information_schema.processlist WHERE id = ?")
                .bind(suspect)
                .fetch_optional(&mut connection)
                .await?
                .is_some()
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let collation = self.collation(&mut connection).await?;
        let ignores_case = collation.is_some_and(|name| name.ends_with("_ci"));
        self.ignores_case.store(ignores_case, Ordering::Relaxed);
        Ok(Session { connection, number })
    }

    fn session(session: &Session) -> Option<u64> {
        session.number
    }

    async fn perform(&self, session: &mut Session, wave: &Wave) -> Result<Sights, Failure> {
        let mut sights = Sights::new();
        if let ([row], 1, false) = (wave.saves.as_slice(), wave.changes(), wave.gives_tokens()) {
            sights.push((row.place, self.save_one(session, row).await?));
        } else {
            let is_transaction = wave.changes() > 1
                || wave.deletes.len() + wave.moves.len() + wave.saves.len() > 1
                || wave.gives_tokens();
            if is_transaction {
                session.connection.execute("START TRANSACTION").await?;
            }
            let changed = self.change_all(session, wave, &mut sights).await;
            if let Err(failure) = changed {
                if is_transaction {
                    session.connection.execute("ROLLBACK").await?;
                }
                return Err(failure);
            }
            if is_transaction {
                session.connection.execute("COMMIT").await?;
            }
        }
        if !wave.questions.is_empty() {
            let keys: Vec<&str> = wave.questions.iter().map(|row| row.key.as_str()).collect();
            // First: whoever acquires after that has another token, and isn't the one who is asked for.
            let tokens = if wave.asks_for_tokens() { self.tokens(session, &keys).await? } else { Vec::new() };
            let held = self.held(session, &keys).await?;
            sights.extend(wave.questions.iter().map(|QuestionRow { place, key, .. }| {
                let holder = held.iter().find(|holder| self.is_for(holder, key));
                let token = token_of(&tokens, key);
                let by = holder.map(|holder| (holder.owner.clone(), holder.remaining, token));
                (*place, Seen::Held { by })
            }));
        }
        Ok(sights)
    }

    async fn recover(&self, session: &mut Session) -> sqlx::Result<()> {
        session.connection.execute("ROLLBACK").await.map(drop)
    }

    async fn create_table(&self, session: &mut Session, table: Table) -> sqlx::Result<()> {
        // utf8mb4_bin is the one collation that all versions have and that tells all letters apart.
        let text = "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";
        let sql = match table {
            Table::Locks => format!(
                "CREATE TABLE IF NOT EXISTS {} (`key` {text} PRIMARY KEY, owner {text}, \
                 expiration bigint unsigned NULL)",
                self.table
            ),
            Table::Tokens => format!(
                "CREATE TABLE IF NOT EXISTS {} (`key` {text} PRIMARY KEY, token bigint NOT NULL)",
                self.tokens
            ),
        };
        session.connection.execute(AssertSqlSafe(sql)).await.map(drop)
    }

    async fn holdings(&self, session: &mut Session, keys: &[String]) -> sqlx::Result<Vec<Holding>> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let held = self.held(session, &keys).await?;
        Ok(held.into_iter().map(|holder| (holder.key, holder.owner)).collect())
    }

    /// The expired are found without locking anything that is passed by.
    async fn prune(&self, session: &mut Session, age: Duration, most: u32) -> sqlx::Result<u64> {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let ended = format!("expiration < {NOW} - {age}");
        let found = statement(format!("SELECT `key` FROM {} WHERE {ended} LIMIT {most}", self.table))
            .fetch_all(&mut session.connection)
            .await?;
        let mut pruned = 0;
        for rows in found.chunks(MOST_ROWS) {
            let marks = vec!["?"; rows.len()].join(", ");
            let mut query =
                statement(format!("DELETE FROM {} WHERE `key` IN ({marks}) AND {ended}", self.table));
            for row in rows {
                query = query.bind(row.try_get::<String, _>(0)?);
            }
            pruned += query.execute(&mut session.connection).await?.rows_affected();
        }
        Ok(pruned)
    }

    fn trouble(&self, error: &sqlx::Error) -> Trouble {
        if let Some(trouble) = trouble_below(error) {
            return trouble;
        }
        let number = error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>())
            .map_or(0, sqlx::mysql::MySqlDatabaseError::number);
        match number {
            1146 => Trouble::NoTable,
            // Read-only servers, and transactions on them.
            1290 | 1792 | 1836 => Trouble::Elsewhere,
            // Lock waits, deadlocks, too many connections, starting up.
            1205 | 1213 | 1040 | 1203 | 1226 | 1614 | 3101 => Trouble::Passing,
            // The server goes, the session has been ended.
            1053 | 1077 | 1079 | 1927 | 4031 => Trouble::Lost,
            _ => Trouble::Final,
        }
    }

    async fn remark(&self, session: &mut Session) -> sqlx::Result<Option<String>> {
        let collation = self.collation(&mut session.connection).await?;
        Ok(collation.filter(|name| name.ends_with("_ci")).map(|name| {
            format!(
                "the table {} compares keys without regard to case ({name}): `Foo` and `foo` are one lock there",
                self.table
            )
        }))
    }
}
