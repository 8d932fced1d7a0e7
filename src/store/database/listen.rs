//! Hearing of releases: Postgres's LISTEN.
//!
//! A connection of its own listens to one channel for each key that is waited for here, and holds a shared advisory lock
//! for each: that is what a release looks at to find out whether anybody waits. Whether notifications come at all is
//! tried once, since a pooler between may keep them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::column::fingerprint;
use super::pool::{Pool, Refusal};
use super::postgres::Postgres;
use crate::store::random_name;

/// How long the trial may take.
const TRIAL: Duration = Duration::from_secs(2);

/// Somebody here waits for a key, or nobody any longer.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) key: Arc<str>,
    pub(super) waits: bool,
}

/// What has been heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// From now on one hears of a key; what has happened before isn't known.
    Attentive(Arc<str>),
    /// A key has been released.
    Released(Arc<str>),
    /// Nothing is heard of any key, for now.
    Deaf,
}

/// Which keys are to be heard of, and who is told.
pub(super) struct Ears {
    pub(super) wishes: mpsc::UnboundedReceiver<Wish>,
    pub(super) heard: mpsc::UnboundedSender<Heard>,
    /// The keys that are waited for, with the channel of each.
    pub(super) keys: HashMap<Arc<str>, String>,
}

impl Ears {
    /// Tells that nothing is heard any longer.
    pub(super) fn go_deaf(&self) {
        let _ = self.heard.send(Heard::Deaf); // nobody is interested any longer
    }

    /// Notes a wish that can't be followed now.
    pub(super) fn note(&mut self, wish: &Wish) {
        if wish.waits {
            self.keys.insert(Arc::clone(&wish.key), String::new());
        } else {
            self.keys.remove(&wish.key);
        }
    }
}

/// What those share who wait for a key.
pub(super) struct MeetingPoint {
    pub(super) lock: i32,
    pub(super) channel: String,
}

/// Listens until the connection breaks, or until nobody can wish for anything any longer. `false`: notifications don't
/// come.
pub(super) async fn listen(
    postgres: &Postgres,
    ears: &mut Ears,
    pool: &Pool<Postgres>,
) -> sqlx::Result<bool> {
    if postgres.is_pooled() {
        return Ok(false);
    }
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(postgres.direct_options(&random_name()));
    let mut listener = PgListener::connect_with(&own).await?;
    listener.eager_reconnect(false);
    if !hears(&mut listener, pool).await? {
        return Ok(false);
    }
    let known: Vec<Arc<str>> = ears.keys.keys().cloned().collect();
    for key in known {
        attend(postgres, &mut listener, ears, key).await?;
    }
    loop {
        tokio::select! {
            wish = ears.wishes.recv() => match wish {
                Some(Wish { key, waits: true }) => attend(postgres, &mut listener, ears, key).await?,
                Some(Wish { key, waits: false }) => {
                    ears.keys.remove(&key);
                    let MeetingPoint { lock, channel } = postgres.meeting_point(&key);
                    listener.unlisten(&channel).await?;
                    advisory(postgres, &mut listener, "SELECT pg_advisory_unlock_shared($1, $2)", lock).await?;
                }
                None => return Ok(true),
            },
            notification = listener.try_recv() => match notification? {
                Some(notification) => {
                    let key = ears.keys.iter().find(|(_, channel)| *channel == notification.channel());
                    if let Some((key, _)) = key {
                        let _ = ears.heard.send(Heard::Released(Arc::clone(key))); // nobody is interested
                    }
                }
                None => return Ok(true),
            },
        }
    }
}

/// Begins to hear of a key.
async fn attend(
    postgres: &Postgres,
    listener: &mut PgListener,
    ears: &mut Ears,
    key: Arc<str>,
) -> sqlx::Result<()> {
    let MeetingPoint { lock, channel } = postgres.meeting_point(&key);
    // Noted first: if the connection breaks, the next one does it.
    ears.keys.insert(Arc::clone(&key), channel.clone());
    listener.listen(&channel).await?;
    // The channel first: who finds the lock taken sends something.
    advisory(postgres, listener, "SELECT pg_advisory_lock_shared($1, $2)", lock).await?;
    let _ = ears.heard.send(Heard::Attentive(key)); // nobody is interested any longer
    Ok(())
}

async fn advisory(
    postgres: &Postgres,
    listener: &mut PgListener,
    sql: &'static str,
    lock: i32,
) -> sqlx::Result<()> {
    sqlx::query(sql).bind(postgres.lock_class()).bind(lock).execute(listener).await.map(drop)
}

/// Whether what another session sends is heard. What breaks on the way is an error, and no answer.
async fn hears(listener: &mut PgListener, pool: &Pool<Postgres>) -> sqlx::Result<bool> {
    let channel = format!("loquet_{}", fingerprint(&["trial", &random_name()]));
    listener.listen(&channel).await?;
    let mut lent = match pool.lend(Instant::now() + TRIAL).await {
        Ok(lent) => lent,
        Err(Refusal::Sql(error, _)) => return Err(error),
        Err(Refusal::Exhausted | Refusal::TooLate) => return Err(sqlx::Error::PoolTimedOut),
    };
    let Some(session) = lent.connection() else { return Err(sqlx::Error::PoolClosed) };
    Postgres::notify(session, &channel).await?;
    lent.give_back();
    let hearing = async {
        loop {
            match listener.try_recv().await? {
                Some(notification) if notification.channel() == channel => return Ok(()),
                Some(_) => {}
                None => return Err(sqlx::Error::PoolClosed), // the connection has broken
            }
        }
    };
    match timeout(TRIAL, hearing).await {
        Ok(heard) => heard?,
        Err(_) => return Ok(false),
    }
    listener.unlisten(&channel).await?;
    Ok(true)
}
