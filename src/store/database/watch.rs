//! Finding out that a lock has become free: by looking, or by hearing of it.
//!
//! One task looks after all keys that are waited for here. A key is looked at when it begins to be waited for, since it
//! may have been released just before. Where releases can be heard of, that is nearly all; elsewhere it is looked at again and
//! again, the more seldom the longer it doesn't change hands, all keys in one query. The end of the holder's lease is the
//! engine's affair. What is found is a hint: whoever is woken asks for the lock as ever.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::Core;
use super::column::stored;
use super::dialect::Dialect;
use super::listen::{Ears, Heard, Wish};

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where releases are heard of: a lease may have become shorter since it was waited for, and its holder have died.
const WHILE_HEARING: Duration = Duration::from_secs(1);

/// How long it is enough that nothing has changed: the end of a lease is no change, and the engine may know of a later one
/// only.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// After a look that failed.
const AFTER_TROUBLE: Duration = Duration::from_millis(500);

/// How long a connection that hears is not tried again, at most; and after one that heard nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const AFTER_SILENCE: Duration = Duration::from_secs(60);

/// How often the expired are deleted, how long after their end, and how many at a time.
const TIDY_EVERY: Duration = Duration::from_secs(60);
const TIDY_AGE: Duration = Duration::from_secs(60);
const TIDY_MOST: u32 = 100;

/// A key that is waited for.
struct Watched {
    /// As it is in the table.
    column: String,
    owner: Option<String>,
    interval: Duration,
    /// When it is looked at next.
    due: Instant,
    /// When it was looked at last, and not only whether anything has changed.
    seen: Instant,
    /// Whether something has changed since, or may have.
    is_stale: bool,
}

/// Looks after the keys that are waited for, until the store is closed.
pub(super) async fn watch<D: Dialect>(core: Weak<Core<D>>, mut wishes: mpsc::UnboundedReceiver<Wish>) {
    let (to_ears, mut heard) = start_ears(&core);
    let mut keys: HashMap<Arc<str>, Watched> = HashMap::new();
    let mut is_hearing = false;
    loop {
        let due = keys.values().map(|watched| watched.due).min();
        let look = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            wish = wishes.recv() => {
                let Some(wish) = wish else { return };
                if wish.waits {
                    let column = stored(&wish.key, D::IGNORES_TRAILING_BLANKS).into_owned();
                    let due = Instant::now();
                    let interval = D::GLANCES.0;
                    let watched = Watched { column, owner: None, interval, due, seen: due, is_stale: true };
                    keys.insert(Arc::clone(&wish.key), watched);
                } else {
                    keys.remove(&wish.key);
                }
                let _ = to_ears.send(wish); // there are none
            }
            Some(event) = heard.recv() => match event {
                Heard::Attentive(key) => {
                    is_hearing = true;
                    if let Some(watched) = keys.get_mut(&key) {
                        watched.due = Instant::now();
                        watched.is_stale = true;
                    }
                }
                Heard::Released(key) => {
                    let Some(core) = core.upgrade() else { return };
                    if keys.contains_key(&key) {
                        core.wake(&key);
                    }
                }
                Heard::Deaf => {
                    is_hearing = false;
                    for watched in keys.values_mut() {
                        watched.due = Instant::now();
                        watched.is_stale = true;
                    }
                }
            },
            () = look => {
                let Some(core) = core.upgrade() else { return };
                let now = Instant::now();
                let is_due = |watched: &Watched| watched.due <= now;
                let due = || keys.values().filter(|watched| is_due(watched));
                let columns = due().map(|watched| watched.column.clone()).collect();
                let is_stale = due().any(|watched| watched.is_stale || watched.seen + STALE_AFTER <= now);
                let holdings = glance(&core, columns, is_stale).await;
                let after = Instant::now();
                // A change is told once. It may have been one of those that aren't due yet.
                if !matches!(holdings, Some(None)) {
                    for watched in keys.values_mut() {
                        watched.is_stale = holdings.is_none() || !is_due(watched);
                        if !watched.is_stale {
                            watched.seen = now;
                        }
                    }
                }
                for (key, watched) in keys.iter_mut().filter(|(_, watched)| is_due(watched)) {
                    let next = match &holdings {
                        None => AFTER_TROUBLE,
                        Some(None) => watched.slower::<D>(),
                        Some(Some(holdings)) => {
                            let owner = holdings.iter().find(|(column, _)| *column == watched.column);
                            let owner = owner.map(|(_, owner)| owner.clone());
                            if owner.is_none() {
                                core.wake(key);
                            }
                            if owner.is_some() && owner == watched.owner {
                                watched.slower::<D>()
                            } else {
                                watched.owner = owner;
                                watched.interval = D::GLANCES.0;
                                watched.interval
                            }
                        }
                    };
                    let next = if is_hearing && holdings.is_some() { WHILE_HEARING } else { next };
                    watched.due = after + next;
                }
            }
        }
    }
}

impl Watched {
    /// The lock has not changed hands.
    fn slower<D: Dialect>(&mut self) -> Duration {
        self.interval = (self.interval * 3 / 2).min(D::GLANCES.1);
        self.interval
    }
}

/// Who holds these keys. Without a list: nothing has changed. `None`: it could not be found out.
async fn glance<D: Dialect>(
    core: &Core<D>,
    columns: Vec<String>,
    is_stale: bool,
) -> Option<Option<Vec<(String, String)>>> {
    let looking = async {
        let mut lent = core.pool.lend(Instant::now() + PATIENCE).await.ok()?;
        let dialect = &core.pool.dialect;
        let connection = lent.connection()?;
        core.pool.traffic.count_round_trip();
        let has_changed = dialect.may_have_changed(connection).await.ok()?;
        let holdings = if has_changed || is_stale {
            Some(dialect.holdings(connection, &columns).await.ok()?)
        } else {
            None
        };
        lent.give_back();
        Some(holdings)
    };
    tokio::time::timeout(PATIENCE, looking).await.ok()?
}

/// The task that hears, where that is possible.
fn start_ears<D: Dialect>(
    core: &Weak<Core<D>>,
) -> (mpsc::UnboundedSender<Wish>, mpsc::UnboundedReceiver<Heard>) {
    let (to_ears, wishes) = mpsc::unbounded_channel();
    let (told, heard) = mpsc::unbounded_channel();
    if D::LISTENS {
        let ears = Ears { wishes, heard: told, keys: HashMap::new() };
        tokio::spawn(hear(Weak::clone(core), ears));
    }
    (to_ears, heard)
}

/// Hears for as long as that is possible, and again after the connection has broken.
async fn hear<D: Dialect>(core: Weak<Core<D>>, mut ears: Ears) {
    let mut pause = Duration::from_millis(50);
    loop {
        // A connection is made when somebody waits, and not before.
        while ears.keys.is_empty() {
            match ears.wishes.recv().await {
                Some(wish) => ears.note(&wish),
                None => return,
            }
        }
        let Some(alive) = core.upgrade() else { return };
        let started = Instant::now();
        // The store may go meanwhile: then nobody can wish for anything, which ends this too.
        let outcome = alive.pool.dialect.listen(&mut ears, &alive.pool).await;
        ears.go_deaf();
        if let Ok(false) = outcome {
            pause = AFTER_SILENCE;
            if alive.pool.dialect.is_blind() {
                return; // that is known
            }
            if !alive.is_deaf.swap(true, Ordering::Relaxed) {
                alive.tell(
                    "wake-ups from the database don't come through (a pooler may be between): waiting acquires look for \
                     released locks instead",
                );
            }
        } else if started.elapsed() > Duration::from_secs(5) {
            pause = Duration::from_millis(50);
        }
        drop(alive);
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                wish = ears.wishes.recv() => match wish {
                    Some(wish) => ears.note(&wish),
                    None => return,
                },
                () = sleep_until(until) => break,
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Deletes rows that have expired long ago, from now on and from time to time.
pub(super) fn keep_tidy<D: Dialect>(core: &Arc<Core<D>>) {
    if core.is_tidied.swap(true, Ordering::Relaxed) {
        return;
    }
    let core = Arc::downgrade(core);
    tokio::spawn(async move {
        remark(&core).await;
        loop {
            sleep(TIDY_EVERY).await;
            loop {
                let Some(core) = core.upgrade() else { return };
                if core.is_closed.load(Ordering::Relaxed) {
                    core.is_tidied.store(false, Ordering::Relaxed);
                    return;
                }
                let tidying = async {
                    let mut lent = core.pool.lend(Instant::now() + PATIENCE).await.ok()?;
                    let pruned =
                        core.pool.dialect.prune(lent.connection()?, TIDY_AGE, TIDY_MOST).await.ok()?;
                    lent.give_back();
                    Some(pruned)
                };
                let pruned = tokio::time::timeout(PATIENCE, tidying).await.ok().flatten();
                drop(core);
                if pruned.unwrap_or_default() < u64::from(TIDY_MOST) {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
        }
    });
}

/// Tells what a person should know of the table, once.
async fn remark<D: Dialect>(core: &Weak<Core<D>>) {
    let Some(core) = core.upgrade() else { return };
    if core.is_known.swap(true, Ordering::Relaxed) {
        return;
    }
    let asking = async {
        let mut lent = core.pool.lend(Instant::now() + PATIENCE).await.ok()?;
        let text = core.pool.dialect.remark(lent.connection()?).await.ok()?;
        lent.give_back();
        text
    };
    if let Some(text) = tokio::time::timeout(PATIENCE, asking).await.ok().flatten() {
        core.tell(&text);
    }
}
