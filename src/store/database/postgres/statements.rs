//! The statements, and what their answers mean.

use sqlx::{AssertSqlSafe, Row, SqlSafeStr, SqlStr};

use super::super::dialect::Sights;
use super::super::wave::{DeleteRow, MoveRow, QuestionRow, SaveRow, Seen};
use super::{MeetingPoint, Postgres, Session};

/// When the statement came: milliseconds since the epoch.
const NOW: &str = "floor(extract(epoch from statement_timestamp()) * 1000)::bigint";

/// The same, rounded up: what a lease is counted from, so that it doesn't end before its holder believes.
const START: &str = "ceil(extract(epoch from statement_timestamp()) * 1000)::bigint";

/// The same in microseconds: what fencing tokens are not less than.
const MICROS: &str = "floor(extract(epoch from statement_timestamp()) * 1000000)::bigint";

/// Their texts.
pub(super) struct Statements {
    save: SqlStr,
    save_fenced: SqlStr,
    change: SqlStr,
    change_fenced: SqlStr,
    delete: SqlStr,
    pub(super) question: SqlStr,
    question_fenced: SqlStr,
    pub(super) create: SqlStr,
    pub(super) create_tokens: SqlStr,
    pub(super) prune: SqlStr,
}

impl Statements {
    /// `table` and `tokens` are quoted. What a `WITH` names hides a table of that name, so it is called what no table is; what
    /// an `AS` names hides none.
    pub(super) fn new(table: &str, tokens: &str) -> Self {
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        // A row that appears while the statement runs can't be seen by it: then the lock is asked for again soon.
        let remaining = format!("CASE WHEN held.key IS NULL THEN 0 ELSE held.expiration - {NOW} END");
        let is_live = format!("(held.expiration IS NULL OR held.expiration > {NOW})");
        let taken = format!(
            "loquet_taken AS (INSERT INTO {table} AS held (key, owner, expiration) \
             SELECT w.key, w.owner, {START} + w.ttl FROM loquet_wanted w \
             WHERE NOT EXISTS (SELECT FROM {table} held WHERE held.key = w.key AND {is_live}) ORDER BY w.key \
             ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expiration = excluded.expiration \
             WHERE held.expiration <= {NOW} RETURNING held.key)"
        );
        // Whoever has the lock's row has that of its token, too: nobody else writes it meanwhile.
        let fenced = |by: &str| {
            format!(
                "loquet_fenced AS (INSERT INTO {tokens} AS last (key, token) SELECT w.key, {MICROS} FROM {by} \
                 JOIN loquet_wanted w ON w.key = {by}.key AND w.fenced ORDER BY w.key \
                 ON CONFLICT (key) DO UPDATE SET token = greatest(last.token + 1, excluded.token) \
                 RETURNING last.key, last.token)"
            )
        };
        Self {
            save: sql(format!(
                "WITH loquet_wanted AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) \
                 AS w(key, owner, ttl)), {taken} \
                 SELECT w.key, taken.key IS NOT NULL, {remaining} FROM loquet_wanted w \
                 LEFT JOIN loquet_taken taken ON taken.key = w.key LEFT JOIN {table} held ON held.key = w.key"
            )),
            save_fenced: sql(format!(
                "WITH loquet_wanted AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bool[]) \
                 AS w(key, owner, ttl, fenced)), {taken}, {} \
                 SELECT w.key, taken.key IS NOT NULL, {remaining}, fenced.token FROM loquet_wanted w \
                 LEFT JOIN loquet_taken taken ON taken.key = w.key LEFT JOIN {table} held ON held.key = w.key \
                 LEFT JOIN loquet_fenced fenced ON fenced.key = w.key",
                fenced("loquet_taken")
            )),
            change: sql(format!(
                "UPDATE {table} held SET owner = w.new_owner, expiration = {START} + w.ttl \
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS w(key, old_owner, new_owner, ttl) \
                 WHERE held.key = w.key AND held.owner = w.old_owner AND {is_live} RETURNING held.key"
            )),
            change_fenced: sql(format!(
                "WITH loquet_wanted AS (SELECT * FROM \
                 unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bool[]) \
                 AS w(key, old_owner, new_owner, ttl, fenced)), \
                 loquet_moved AS (UPDATE {table} held SET owner = w.new_owner, expiration = {START} + w.ttl \
                 FROM loquet_wanted w \
                 WHERE held.key = w.key AND held.owner = w.old_owner AND {is_live} RETURNING held.key), {} \
                 SELECT moved.key, fenced.token FROM loquet_moved moved \
                 LEFT JOIN loquet_fenced fenced ON fenced.key = moved.key",
                fenced("loquet_moved")
            )),
            // The setting holds until the end of the transaction, which is the end of the statement.
            delete: sql(format!(
                "WITH loquet_gone AS (DELETE FROM {table} held \
                 USING unnest($1::text[], $2::text[], $3::int[], $4::text[]) AS w(key, owner, lock, channel) \
                 WHERE held.key = w.key AND (w.owner IS NULL OR held.owner = w.owner AND {is_live}) \
                 RETURNING held.key, held.expiration, w.lock, w.channel) \
                 SELECT gone.key, CASE WHEN pg_try_advisory_xact_lock($5, gone.lock) THEN false \
                 ELSE (SELECT true FROM pg_notify(gone.channel, '')) END, \
                 CASE WHEN (SELECT bool_and(expiration IS NOT NULL) FROM loquet_gone) \
                 THEN set_config('synchronous_commit', 'off', true) END FROM loquet_gone gone"
            )),
            question: sql(format!(
                "SELECT held.key, held.owner, held.expiration - {NOW} FROM {table} held \
                 WHERE held.key = ANY($1::text[]) AND {is_live}"
            )),
            question_fenced: sql(format!(
                "SELECT held.key, held.owner, held.expiration - {NOW}, last.token FROM {table} held \
                 LEFT JOIN {tokens} last ON last.key = held.key \
                 WHERE held.key = ANY($1::text[]) AND {is_live}"
            )),
            create: sql(format!(
                "CREATE TABLE IF NOT EXISTS {table} (key varchar(255) NOT NULL PRIMARY KEY, \
                 owner varchar(255) NOT NULL, expiration bigint)"
            )),
            create_tokens: sql(format!(
                "CREATE TABLE IF NOT EXISTS {tokens} (key varchar(255) NOT NULL PRIMARY KEY, token bigint NOT NULL)"
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
        is_fenced: bool,
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let owners: Vec<&str> = rows.iter().map(|row| row.owner.as_str()).collect();
        let ttls: Vec<Option<i64>> = rows.iter().map(|row| row.ttl).collect();
        let sql = if is_fenced { &self.sql.save_fenced } else { &self.sql.save };
        let mut query = sqlx::query(sql.clone()).bind(keys).bind(owners).bind(ttls);
        if is_fenced {
            query = query.bind(rows.iter().map(|row| row.fenced).collect::<Vec<_>>());
        }
        let answers = query.persistent(!self.is_pooled()).fetch_all(&mut session.connection).await?;
        for answer in answers {
            let key: &str = answer.try_get(0)?;
            let seen = if answer.try_get(1)? {
                let token = if is_fenced { answer.try_get(3)? } else { None };
                Seen::Done { has_woken: false, token }
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
        is_fenced: bool,
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let from: Vec<&str> = rows.iter().map(|row| row.from.as_str()).collect();
        let to: Vec<&str> = rows.iter().map(|row| row.to.as_str()).collect();
        let ttls: Vec<Option<i64>> = rows.iter().map(|row| row.ttl).collect();
        let sql = if is_fenced { &self.sql.change_fenced } else { &self.sql.change };
        let mut query = sqlx::query(sql.clone()).bind(keys).bind(from).bind(to).bind(ttls);
        if is_fenced {
            query = query.bind(rows.iter().map(|row| row.fenced).collect::<Vec<_>>());
        }
        let answers = query.persistent(!self.is_pooled()).fetch_all(&mut session.connection).await?;
        for answer in answers {
            let key: &str = answer.try_get(0)?;
            let at = rows.binary_search_by(|row| row.key.as_str().cmp(key));
            let token = if is_fenced { answer.try_get(1)? } else { None };
            note(sights, at.map(|at| rows[at].place), Seen::Done { has_woken: false, token });
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
            note(sights, at.map(|at| rows[at].place), Seen::Done { has_woken, token: None });
        }
        Ok(())
    }

    pub(super) async fn question(
        &self,
        session: &mut Session,
        rows: &[QuestionRow],
        is_fenced: bool,
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let sql = if is_fenced { &self.sql.question_fenced } else { &self.sql.question };
        let query = sqlx::query(sql.clone()).bind(keys).persistent(!self.is_pooled());
        for answer in query.fetch_all(&mut session.connection).await? {
            let key: &str = answer.try_get(0)?;
            let token = if is_fenced { answer.try_get(3)? } else { None };
            let by = Some((answer.try_get(1)?, answer.try_get(2)?, token));
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
