//! SQLite.
//!
//! # The table
//! `key varchar(255) primary key, owner varchar(255), expiration bigint`: milliseconds since the epoch, or null for a
//! lease without end. A row that has expired is a lock that is free.
//!
//! The last fencing tokens are in `<table>_fencing`: `key varchar(255) primary key, token bigint`. SQLite's clock counts
//! milliseconds, so theirs end with three zeros unless they come closer together.
//!
//! # The statements
//! One for each kind of command, over a list as JSON; several in one transaction. There is one connection, since there is
//! one writer. The file's journal mode is the app's affair and left as it is.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row, SqlSafeStr, SqlStr};

use super::column::quoted;
use super::dialect::{Dialect, Failure, Holding, Sights, Table, Trouble, trouble_below};
use super::settings::Settings;
use super::wave::{Seen, Wave, token_of};

/// The present moment: when the statement began, after it had waited for others. Milliseconds since the epoch.
const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// The next millisecond: what a lease is counted from, so that it doesn't end before its holder believes.
const START: &str = "CAST(unixepoch('subsec') * 1000 + 1 AS INTEGER)";

/// The present moment in microseconds: what fencing tokens are not less than.
const MICROS: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000";

/// One kind of database: see the [module documentation](self).
pub(super) struct Sqlite {
    options: SqliteConnectOptions,
    syncs_wal: bool,
    /// The last seen number of the file's state.
    version: AtomicI64,
    save: SqlStr,
    refused: SqlStr,
    change: SqlStr,
    delete: SqlStr,
    clear: SqlStr,
    create: SqlStr,
    create_tokens: SqlStr,
    grow_tokens: SqlStr,
    tokens: SqlStr,
    prune: SqlStr,
}

impl Sqlite {
    pub(super) fn new(settings: &Settings, path: &PathBuf, busy_timeout: Duration, syncs_wal: bool) -> Self {
        let (table, tokens) = (quoted(&settings.table, '"'), quoted(&settings.token_table(), '"'));
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let is_live = format!("(expiration IS NULL OR expiration > {NOW})");
        let bit = (settings.command_timeout / 40).clamp(Duration::from_millis(1), Duration::from_millis(200));
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(busy_timeout.min(bit))
            .disable_statement_logging();
        Self {
            options,
            syncs_wal,
            version: AtomicI64::new(-1),
            save: sql(format!(
                "INSERT INTO {table} AS held (key, owner, expiration) \
                 SELECT value ->> 0, value ->> 1, {START} + (value ->> 2) FROM json_each(?1) WHERE true \
                 ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expiration = excluded.expiration \
                 WHERE held.expiration <= {NOW} RETURNING key"
            )),
            refused: sql(format!(
                "SELECT key, owner, expiration - {NOW} FROM {table} \
                 WHERE key IN (SELECT value FROM json_each(?1)) AND {is_live}"
            )),
            change: sql(format!(
                "UPDATE {table} AS held SET owner = wanted.new_owner, expiration = {START} + wanted.ttl FROM \
                 (SELECT value ->> 0 AS key, value ->> 1 AS old_owner, value ->> 2 AS new_owner, value ->> 3 AS ttl \
                 FROM json_each(?1)) AS wanted \
                 WHERE held.key = wanted.key AND held.owner = wanted.old_owner \
                 AND (held.expiration IS NULL OR held.expiration > {NOW}) RETURNING key"
            )),
            delete: sql(format!(
                "DELETE FROM {table} WHERE (key, owner) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)) \
                 AND {is_live} RETURNING key"
            )),
            clear: sql(format!("DELETE FROM {table} WHERE key IN (SELECT value FROM json_each(?1))")),
            create: sql(format!(
                "CREATE TABLE IF NOT EXISTS {table} (key varchar(255) NOT NULL PRIMARY KEY, \
                 owner varchar(255) NOT NULL, expiration bigint)"
            )),
            create_tokens: sql(format!(
                "CREATE TABLE IF NOT EXISTS {tokens} (key varchar(255) NOT NULL PRIMARY KEY, token bigint NOT NULL)"
            )),
            grow_tokens: sql(format!(
                "INSERT INTO {tokens} AS last (key, token) SELECT value, {MICROS} FROM json_each(?1) WHERE true \
                 ON CONFLICT (key) DO UPDATE SET token = max(last.token + 1, excluded.token) RETURNING key, token"
            )),
            tokens: sql(format!(
                "SELECT key, token FROM {tokens} WHERE key IN (SELECT value FROM json_each(?1))"
            )),
            prune: sql(format!(
                "DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE expiration < {NOW} - ?1 LIMIT ?2)"
            )),
        }
    }

    async fn change_all(
        &self,
        connection: &mut SqliteConnection,
        wave: &Wave,
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        if !wave.saves.is_empty() {
            let rows: Vec<_> = wave.saves.iter().map(|row| (&row.key, &row.owner, row.ttl)).collect();
            let taken = keys_of(connection, &self.save, &json(&rows)).await?;
            let mut lost = Vec::new();
            for row in &wave.saves {
                if taken.contains(&row.key) {
                    sights.push((row.place, Seen::DONE));
                } else {
                    lost.push(row);
                }
            }
            if !lost.is_empty() {
                let keys: Vec<_> = lost.iter().map(|row| &row.key).collect();
                let held = self.held(connection, &json(&keys)).await?;
                for row in lost {
                    // If it isn't held any longer, it has ended since.
                    let holder = held.iter().find(|(key, ..)| *key == row.key);
                    let remaining = holder.map_or(Some(0), |(.., left)| *left);
                    sights.push((row.place, Seen::Refused { remaining }));
                }
            }
        }
        if !wave.moves.is_empty() {
            let rows: Vec<_> = wave.moves.iter().map(|row| (&row.key, &row.from, &row.to, row.ttl)).collect();
            let changed = keys_of(connection, &self.change, &json(&rows)).await?;
            let done = wave.moves.iter().filter(|row| changed.contains(&row.key));
            sights.extend(done.map(|row| (row.place, Seen::DONE)));
        }
        let rows: Vec<_> =
            wave.deletes.iter().filter_map(|row| Some((&row.key, row.owner.as_ref()?))).collect();
        if !rows.is_empty() {
            let gone = keys_of(connection, &self.delete, &json(&rows)).await?;
            let done = wave.deletes.iter().filter(|row| gone.contains(&row.key));
            sights.extend(done.map(|row| (row.place, Seen::DONE)));
        }
        let keys: Vec<_> =
            wave.deletes.iter().filter(|row| row.owner.is_none()).map(|row| &row.key).collect();
        if !keys.is_empty() {
            sqlx::query(self.clear.clone()).bind(json(&keys)).execute(&mut *connection).await?;
        }
        let keys = wave.keys_to_fence(sights);
        if !keys.is_empty() {
            let tokens = tokens_of(connection, &self.grow_tokens, &json(&keys)).await?;
            wave.fence(&tokens, sights);
        }
        Ok(())
    }

    async fn held(
        &self,
        connection: &mut SqliteConnection,
        keys: &str,
    ) -> sqlx::Result<Vec<(String, String, Option<i64>)>> {
        let rows = sqlx::query(self.refused.clone()).bind(keys).fetch_all(connection).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }
}

async fn keys_of(connection: &mut SqliteConnection, sql: &SqlStr, rows: &str) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query(sql.clone()).bind(rows).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

async fn tokens_of(
    connection: &mut SqliteConnection,
    sql: &SqlStr,
    keys: &str,
) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query(sql.clone()).bind(keys).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Texts, numbers and nothing else: that can't fail.
fn json(rows: &impl serde::Serialize) -> String {
    serde_json::to_string(rows).unwrap_or_default()
}

impl Dialect for Sqlite {
    type Connection = SqliteConnection;
    /// It lives in this process and ends with its connection.
    type Session = ();

    /// What waits for others who write can't be called back, so it waits in short bits.
    const ENDS_BY_ITSELF: bool = true;

    const GLANCES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(20));

    async fn connect(&self, _suspects: &[()]) -> sqlx::Result<SqliteConnection> {
        let mut connection = self.options.connect().await?;
        self.version.store(-1, Ordering::Relaxed);
        let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await?;
        let mode: String = row.try_get(0)?;
        if mode == "wal" && !self.syncs_wal {
            connection.execute("PRAGMA synchronous = NORMAL").await?;
        } else {
            connection.execute("PRAGMA synchronous = FULL").await?;
        }
        Ok(connection)
    }

    fn session(_connection: &SqliteConnection) -> Option<()> {
        None
    }

    async fn perform(&self, connection: &mut SqliteConnection, wave: &Wave) -> Result<Sights, Failure> {
        let mut sights = Sights::new();
        let is_mixed = wave.deletes.iter().any(|row| row.owner.is_none())
            && wave.deletes.iter().any(|row| row.owner.is_some());
        let is_transaction = wave.changes() > 1 || is_mixed || wave.gives_tokens();
        if is_transaction {
            connection.execute("BEGIN IMMEDIATE").await?;
        }
        if let Err(error) = self.change_all(connection, wave, &mut sights).await {
            if is_transaction {
                let _ = connection.execute("ROLLBACK").await; // some errors have done so already
            }
            return Err(error.into());
        }
        if is_transaction && let Err(error) = connection.execute("COMMIT").await {
            let _ = connection.execute("ROLLBACK").await;
            return Err(error.into());
        }
        if !wave.questions.is_empty() {
            let keys: Vec<_> = wave.questions.iter().map(|row| &row.key).collect();
            // First: whoever acquires after that has another token, and isn't the one who is asked for.
            let tokens = if wave.asks_for_tokens() {
                tokens_of(connection, &self.tokens, &json(&keys)).await?
            } else {
                Vec::new()
            };
            let held = self.held(connection, &json(&keys)).await?;
            sights.extend(wave.questions.iter().map(|row| {
                let holder = held.iter().find(|(key, ..)| *key == row.key);
                let token = token_of(&tokens, &row.key);
                let by = holder.map(|(_, owner, remaining)| (owner.clone(), *remaining, token));
                (row.place, Seen::Held { by })
            }));
        }
        Ok(sights)
    }

    /// Changes by this connection aren't counted; the engine knows of them.
    async fn may_have_changed(&self, connection: &mut SqliteConnection) -> sqlx::Result<bool> {
        let row = sqlx::query("PRAGMA data_version").fetch_one(connection).await?;
        let version: i64 = row.try_get(0)?;
        Ok(self.version.swap(version, Ordering::Relaxed) != version)
    }

    async fn create_table(&self, connection: &mut SqliteConnection, table: Table) -> sqlx::Result<()> {
        let sql = match table {
            Table::Locks => &self.create,
            Table::Tokens => &self.create_tokens,
        };
        connection.execute(sql.clone()).await.map(drop)
    }

    async fn holdings(
        &self,
        connection: &mut SqliteConnection,
        keys: &[String],
    ) -> sqlx::Result<Vec<Holding>> {
        let held = self.held(connection, &json(&keys)).await?;
        Ok(held.into_iter().map(|(key, owner, _)| (key, owner)).collect())
    }

    async fn prune(&self, connection: &mut SqliteConnection, age: Duration, most: u32) -> sqlx::Result<u64> {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let query = sqlx::query(self.prune.clone()).bind(age).bind(most);
        Ok(query.execute(connection).await?.rows_affected())
    }

    fn trouble(&self, error: &sqlx::Error) -> Trouble {
        if let Some(trouble) = trouble_below(error) {
            return trouble;
        }
        let Some(error) = error.as_database_error() else {
            return Trouble::Final;
        };
        if error.message().starts_with("no such table") {
            return Trouble::NoTable;
        }
        let code = error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
        // The extended codes have the primary one in their lowest byte: busy, locked.
        if matches!(code & 0xFF, 5 | 6) { Trouble::Passing } else { Trouble::Final }
    }
}
