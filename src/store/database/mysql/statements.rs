//! The statements, and what their answers mean.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use sqlx::mysql::{MySqlArguments, MySqlConnection};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, MySql as Driver, Row};

use super::super::dialect::Sights;
use super::super::wave::{DeleteRow, MoveRow, SaveRow, Seen};
use super::{LIVE, MICROS, MOST_ROWS, MySql, NOW, START, Session};

impl MySql {
    /// One save.
    pub(super) async fn save_one(&self, session: &mut Session, row: &SaveRow) -> sqlx::Result<Seen> {
        let sql = self.save_sql(
            1,
            &format!(
                "IF(expiration <= {NOW}, VALUES(owner), IF(LAST_INSERT_ID(IF(expiration IS NULL, 1, \
                 CAST(expiration AS SIGNED) - {NOW} + 2)) > 0, owner, owner))"
            ),
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(&row.key).bind(&row.owner).bind(row.ttl);
        let told = query.execute(&mut session.connection).await?.last_insert_id();
        Ok(match told {
            0 => Seen::DONE,
            1 => Seen::Refused { remaining: None },
            more => Seen::Refused { remaining: i64::try_from(more - 2).ok() },
        })
    }

    fn save_sql(&self, rows: usize, owner: &str) -> String {
        let row = format!("(?, ?, {START} + ?)");
        let rows = vec![row; rows].join(", ");
        // The owner is set first, the expiration is still the old one then.
        format!(
            "INSERT INTO {} (`key`, owner, expiration) VALUES {rows} ON DUPLICATE KEY UPDATE owner = {owner}, \
             expiration = IF(owner = VALUES(owner) AND expiration <= {NOW}, VALUES(expiration), expiration)",
            self.table
        )
    }

    /// Saves several locks. Those that are held are left out, since of an owner that holds a lock already it couldn't be
    /// told afterwards that it has been refused.
    pub(super) async fn save_many(
        &self,
        session: &mut Session,
        rows: &[SaveRow],
        sights: &mut Sights,
    ) -> sqlx::Result<()> {
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let held = self.held(session, &keys).await?;
        let (refused, open): (Vec<&SaveRow>, Vec<&SaveRow>) =
            rows.iter().partition(|row| held.iter().any(|holder| self.is_for(holder, &row.key)));
        for row in refused {
            sights.push((row.place, self.refusal(&held, row)));
        }
        if open.is_empty() {
            return Ok(());
        }
        let owner = format!("IF(expiration <= {NOW}, VALUES(owner), owner)");
        let mut query = statement(self.save_sql(open.len(), &owner));
        for row in &open {
            query = query.bind(&row.key).bind(&row.owner).bind(row.ttl);
        }
        query.execute(&mut session.connection).await?;
        // Read within the transaction: what it shows is what will be committed.
        let keys: Vec<&str> = open.iter().map(|row| row.key.as_str()).collect();
        let held = self.held(session, &keys).await?;
        for row in open {
            let is_ours =
                held.iter().any(|holder| self.is_for(holder, &row.key) && holder.owner == row.owner);
            sights.push((row.place, if is_ours { Seen::DONE } else { self.refusal(&held, row) }));
        }
        Ok(())
    }

    pub(super) fn is_for(&self, holder: &Holder, key: &str) -> bool {
        holder.key == key
            || (self.ignores_case.load(Ordering::Relaxed) && holder.key.to_lowercase() == key.to_lowercase())
    }

    fn refusal(&self, held: &[Holder], row: &SaveRow) -> Seen {
        let holder = held.iter().find(|holder| self.is_for(holder, &row.key));
        // If it isn't held any longer, it has ended since.
        Seen::Refused { remaining: holder.map_or(Some(0), |holder| holder.remaining) }
    }

    /// How the table compares keys.
    pub(super) async fn collation(&self, connection: &mut MySqlConnection) -> sqlx::Result<Option<String>> {
        let row = sqlx::query(
            "SELECT collation_name FROM information_schema.columns WHERE table_schema = COALESCE(?, DATABASE()) \
             AND table_name = ? AND column_name = 'key'",
        )
        .bind(&self.schema)
        .bind(&self.name)
        .fetch_optional(connection)
        .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// The live leases of some keys: key, owner, remaining milliseconds.
    pub(super) async fn held(&self, session: &mut Session, keys: &[&str]) -> sqlx::Result<Vec<Holder>> {
        let mut held = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MOST_ROWS) {
            let mut query = statement(format!(
                "SELECT `key`, owner, CAST(expiration AS SIGNED) - {NOW} FROM {} WHERE `key` IN ({}) AND {LIVE}",
                self.table,
                vec!["?"; keys.len()].join(", ")
            ));
            for key in keys {
                query = query.bind(*key);
            }
            for row in query.fetch_all(&mut session.connection).await? {
                held.push(Holder {
                    key: row.try_get(0)?,
                    owner: row.try_get(1)?,
                    remaining: row.try_get(2)?,
                });
            }
        }
        Ok(held)
    }

    /// Gives keys their next fencing tokens. The locks' rows are ours by now, so nobody else does.
    pub(super) async fn grow_tokens(&self, session: &mut Session, keys: &[&str]) -> sqlx::Result<()> {
        for keys in keys.chunks(MOST_ROWS) {
            let rows = vec![format!("(?, {MICROS})"); keys.len()].join(", ");
            let mut query = statement(format!(
                "INSERT INTO {} (`key`, token) VALUES {rows} \
                 ON DUPLICATE KEY UPDATE token = GREATEST(token + 1, VALUES(token))",
                self.tokens
            ));
            for key in keys {
                query = query.bind(*key);
            }
            query.execute(&mut session.connection).await?;
        }
        Ok(())
    }

    /// The last fencing tokens of some keys.
    pub(super) async fn tokens(
        &self,
        session: &mut Session,
        keys: &[&str],
    ) -> sqlx::Result<Vec<(String, i64)>> {
        let mut tokens = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MOST_ROWS) {
            let marks = vec!["?"; keys.len()].join(", ");
            let mut query =
                statement(format!("SELECT `key`, token FROM {} WHERE `key` IN ({marks})", self.tokens));
            for key in keys {
                query = query.bind(*key);
            }
            for row in query.fetch_all(&mut session.connection).await? {
                tokens.push((row.try_get(0)?, row.try_get(1)?));
            }
        }
        Ok(tokens)
    }

    /// Tells how many leases were changed.
    pub(super) async fn change(&self, session: &mut Session, rows: &[MoveRow]) -> sqlx::Result<u64> {
        let (owners, ends) = if let [_] = rows {
            ("?".to_owned(), "? + ".to_owned() + START)
        } else {
            let cases =
                |what: &str| format!("CASE `key` {}END", format!("WHEN ? THEN {what} ").repeat(rows.len()));
            (cases("?"), cases(&format!("? + {START}")))
        };
        let mut sql =
            format!("UPDATE {} SET owner = {owners}, expiration = {ends} WHERE {LIVE} AND ", self.table);
        push_pairs(&mut sql, rows.len());
        let mut query = statement(sql);
        let is_alone = rows.len() == 1;
        for row in rows {
            query = if is_alone { query.bind(&row.to) } else { query.bind(&row.key).bind(&row.to) };
        }
        for row in rows {
            query = if is_alone { query.bind(row.ttl) } else { query.bind(&row.key).bind(row.ttl) };
        }
        for row in rows {
            query = query.bind(&row.key).bind(&row.from);
        }
        Ok(query.execute(&mut session.connection).await?.rows_affected())
    }

    /// Tells how many locks of known owners were deleted.
    pub(super) async fn delete(&self, session: &mut Session, rows: &[&DeleteRow]) -> sqlx::Result<u64> {
        let mut sql = format!("DELETE FROM {} WHERE {LIVE} AND ", self.table);
        push_pairs(&mut sql, rows.len());
        let mut query = statement(sql);
        for row in rows {
            query = query.bind(&row.key).bind(&row.owner);
        }
        Ok(query.execute(&mut session.connection).await?.rows_affected())
    }

    pub(super) async fn clear(&self, session: &mut Session, rows: &[&DeleteRow]) -> sqlx::Result<()> {
        let marks = vec!["?"; rows.len()].join(", ");
        let mut query = statement(format!("DELETE FROM {} WHERE `key` IN ({marks})", self.table));
        for row in rows {
            query = query.bind(&row.key);
        }
        query.execute(&mut session.connection).await.map(drop)
    }
}

/// A live lease. Its key is as the table has it, which may differ by case from the one that was asked for.
pub(super) struct Holder {
    pub(super) key: String,
    pub(super) owner: String,
    pub(super) remaining: Option<i64>,
}

fn push_pairs(sql: &mut String, count: usize) {
    let pairs = vec!["(`key` = ? AND owner = ?)"; count].join(" OR ");
    let _ = write!(sql, "({pairs})"); // a String takes everything
}

pub(super) fn statement<'q>(sql: String) -> Query<'q, Driver, MySqlArguments> {
    sqlx::query(AssertSqlSafe(sql))
}
