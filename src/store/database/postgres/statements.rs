//! The statements, and what their answers mean.

use sqlx::{AssertSqlSafe, Row, SqlSafeStr, SqlStr};

use super::super::dialect::Sights;
use super::super::wave::{DeleteRow, MoveRow, QuestionRow, SaveRow, Seen};
use super::{MeetingPoint, Postgres, Session};

/// When the statement came: milliseconds since the epoch.
const NOW: &str = "floor(extract(epoch from statement_timestamp()) * 1000)::bigint";

/// The same, rounded up: what a lease is counted from, so that it doesn't end before its holder believes.
const START: &str = "ceil(extract(epoch from statement_timestamp()) * 1000)::bigint";

/// Their texts.
pub(super) struct Statements {
    save: SqlStr,
    change: SqlStr,
    delete: SqlStr,
    pub(super) question: SqlStr,
    pub(super) create: SqlStr,
    pub(super) prune: SqlStr,
}

impl Statements {
    /// `table` is quoted.
    pub(super) fn new(table: &str) -> Self {
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let is_live = format!("(held.expiration IS NULL OR held.expiration > {NOW})");
        Self {
            // A row that appears while the statement runs can't be seen by it: then the lock is asked for again soon.
            save: sql(format!(
                "WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS w(key, owner, ttl)), \
                 taken AS (INSERT INTO {table} AS held (key, owner, expiration) \
                 SELECT w.key, w.owner, {START} + w.ttl FROM wanted w \
                 WHERE NOT EXISTS (SELECT FROM {table} held WHERE held.key = w.key AND {is_live}) ORDER BY w.key \
                 ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expiration = excluded.expiration \
                 WHERE held.expiration <= {NOW} RETURNING held.key) \
                 SELECT w.key, taken.key IS NOT NULL, \
                 CASE WHEN held.key IS NULL THEN 0 ELSE held.expiration - {NOW} END FROM wanted w \
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
        }
    }
}

impl Postgres {
    pub(super) async fn save(
        &self,
        session: &mut Session,
        rows: &[SaveRow],
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let owners: Vec<&str> = rows.iter().map(|row| row.owner.as_str()).collect();
        let ttls: Vec<Option<i64>> = rows.iter().map(|row| row.ttl).collect();
        let query = sqlx::query(self.sql.save.clone()).bind(keys).bind(owners).bind(ttls);
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

    pub(super) async fn change(
        &self,
        session: &mut Session,
        rows: &[MoveRow],
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let from: Vec<&str> = rows.iter().map(|row| row.from.as_str()).collect();
        let to: Vec<&str> = rows.iter().map(|row| row.to.as_str()).collect();
        let ttls: Vec<Option<i64>> = rows.iter().map(|row| row.ttl).collect();
        let query = sqlx::query(self.sql.change.clone()).bind(keys).bind(from).bind(to).bind(ttls);
        let answers = query.persistent(!self.is_pooled()).fetch_all(&mut session.connection).await?;
        for answer in answers {
            let key: &str = answer.try_get(0)?;
            let at = rows.binary_search_by(|row| row.key.as_str().cmp(key));
            note(sights, at.map(|at| rows[at].place), Seen::Done { has_woken: false });
        }
        Ok(())
    }

    pub(super) async fn delete(
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
        let query = sqlx::query(self.sql.delete.clone()).bind(keys).bind(owners).bind(locks).bind(channels);
        let query = query.bind(self.lock_class).persistent(!self.is_pooled());
        for answer in query.fetch_all(&mut session.connection).await? {
            let key: &str = answer.try_get(0)?;
            let has_woken = answer.try_get(1)?;
            let at = rows.binary_search_by(|row| row.key.as_str().cmp(key));
            note(sights, at.map(|at| rows[at].place), Seen::Done { has_woken });
        }
        Ok(())
    }

    pub(super) async fn question(
        &self,
        session: &mut Session,
        rows: &[QuestionRow],
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let query = sqlx::query(self.sql.question.clone()).bind(keys).persistent(!self.is_pooled());
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
