//! Locks in a database: PostgreSQL, MySQL and MariaDB, SQLite, over `sqlx`.
//!
//! - [`settings`]: where a database is and how to speak to it.
//! - `dialect`: what the kinds do each in their own way; `postgres`, `mysql`, `sqlite`: the statements, and the format of
//!   the table.
//! - `column`: keys as they are in the table. `wave`: commands as rows of a statement.
//! - `connect`, `pool`: a few connections. `exchange`: performing a batch, and what is tried again.
//! - `watch`, `listen`: finding out that a lock has become free.
//!
//! # What one command costs
//! A lone command is one statement that commits by itself, also when it is refused. What is queued together is one
//! statement for each kind over lists of rows, so that a whole batch waits for the disk once.
//!
//! # Fencing tokens
//! The last token of a key is a row of a second table, which is made with the first lock that wants one. The next is that
//! plus 1, or the database's clock in microseconds since the Unix epoch, whichever is greater; it is taken in the statement or
//! the transaction that takes the lock. Rows stay, but nothing depends on those that are older than the clock may ever be
//! set back. A lock that wants no token doesn't touch that table.
//!
//! # What is never repeated
//! A statement whose answer is lost may have been performed, so it isn't sent again here: the engine asks whether its
//! owner holds the key. Before it can ask, the session that was left is ended. Repeated is only what the database has
//! refused without doing anything: deadlocks, serialization failures, a server that starts up or is read-only, a missing
//! table that has been made.

mod column;
mod connect;
mod dialect;
mod exchange;
mod listen;
mod mysql;
mod pool;
mod postgres;
pub mod settings;
mod sqlite;
mod watch;
mod wave;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use self::dialect::Dialect;
use self::listen::Wish;
use self::mysql::MySql;
use self::pool::Pool;
use self::postgres::Postgres;
use self::settings::{Place, Settings};
use self::sqlite::Sqlite;
use super::{Answer, BoxFuture, Capability, Command, LockStore, Notice, Reply, ServerStore, WakeUp};
use crate::clock::{Clock, Moment};
use crate::figures::Traffic;
use crate::lease::Key;

/// The store's name in errors.
const STORE: &str = "database";

/// How many times in a row a lease may go from task to task within a process before others get their turn.
const LOCAL_TURNS: NonZeroU32 = NonZeroU32::new(16).unwrap();

/// How long a process that has released truly leaves the lock to others.
const COURTESY: Duration = Duration::from_millis(10);

/// A store for the given settings. Nothing is connected before the first command. Must be used within a tokio runtime
/// with I/O and time enabled.
#[must_use]
pub fn open(settings: Settings, clock: Arc<dyn Clock>) -> Arc<dyn ServerStore> {
    let place = settings.place.clone();
    match place {
        Place::Postgres { server, search_path, is_pooled, application_name } => {
            let name = application_name.as_deref();
            let dialect = Postgres::new(&settings, &server, &search_path, is_pooled, name);
            Arc::new(DatabaseStore::new(settings, clock, dialect))
        }
        Place::MySql { server } => {
            let dialect = MySql::new(&settings, &server);
            Arc::new(DatabaseStore::new(settings, clock, dialect))
        }
        Place::Sqlite { path, busy_timeout, syncs_wal } => {
            let dialect = Sqlite::new(&settings, &path, busy_timeout, syncs_wal);
            Arc::new(DatabaseStore::new(settings, clock, dialect))
        }
    }
}

/// Locks in a database. See the [module documentation](self).
struct DatabaseStore<D: Dialect>(Arc<Core<D>>);

/// What a store shares with its tasks.
struct Core<D: Dialect> {
    settings: Settings,
    clock: Arc<dyn Clock>,
    pool: Pool<D>,
    /// Until when a key that was released truly is left to others.
    yielded: Mutex<HashMap<Key, Moment>>,
    /// The keys that are waited for.
    watched: Mutex<HashSet<Key>>,
    watcher: Mutex<Option<mpsc::UnboundedSender<Wish>>>,
    listener: Mutex<Option<WakeUp>>,
    notice: Mutex<Option<Notice>>,
    /// Whether expired rows are being deleted from time to time.
    is_tidied: AtomicBool,
    is_closed: AtomicBool,
    /// Whether the table has been asked about.
    is_known: AtomicBool,
    /// Whether it has been said that wake-ups don't come through.
    is_deaf: AtomicBool,
    /// Whether the table has been looked for.
    is_looked_for: AtomicBool,
    /// Whether the one of the fencing tokens has.
    are_tokens_looked_for: AtomicBool,
}

impl<D: Dialect> DatabaseStore<D> {
    fn new(settings: Settings, clock: Arc<dyn Clock>, dialect: D) -> Self {
        let pool = Pool::new(dialect, settings.connections(), settings.connect_timeout);
        Self(Arc::new(Core {
            settings,
            clock,
            pool,
            yielded: Mutex::default(),
            watched: Mutex::default(),
            watcher: Mutex::default(),
            listener: Mutex::default(),
            notice: Mutex::default(),
            is_tidied: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            is_looked_for: AtomicBool::new(false),
            are_tokens_looked_for: AtomicBool::new(false),
        }))
    }
}

impl<D: Dialect> LockStore for DatabaseStore<D> {
    fn name(&self) -> &'static str {
        STORE
    }

    /// It is polled, since a holder may be of a kind that wakes nobody.
    fn capability(&self) -> Capability {
        Capability { polls: true, tells_expiry: true, hand_over: Some(LOCAL_TURNS), watches: true }
    }

    fn execute(&self, batch: Vec<Command>, patience: Duration) -> BoxFuture<'_, Vec<Reply>> {
        self.0.is_closed.store(false, Ordering::Relaxed);
        Box::pin(exchange::perform(&self.0, batch, patience))
    }

    fn on_wake_up(&self, listener: WakeUp) {
        *lock(&self.0.listener) = Some(listener);
    }

    fn watch(&self, key: &Key, waiting: bool) {
        let core = &self.0;
        {
            let mut watched = lock(&core.watched);
            if waiting {
                watched.insert(key.clone());
            } else {
                watched.remove(key);
                lock(&core.yielded).remove(key);
            }
        }
        let wish = Wish { key: Arc::from(key.as_str()), waits: waiting };
        let mut watcher = lock(&core.watcher);
        let sender = watcher.get_or_insert_with(|| {
            let (sender, wishes) = mpsc::unbounded_channel();
            tokio::spawn(watch::watch(Arc::downgrade(core), wishes));
            sender
        });
        let _ = sender.send(wish); // the task ends with the store only
    }
}

impl<D: Dialect> ServerStore for DatabaseStore<D> {
    fn on_notice(&self, notice: Notice) {
        *lock(&self.0.notice) = Some(notice);
    }

    fn traffic(&self) -> &Traffic {
        &self.0.pool.traffic
    }

    fn close(&self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
        lock(&self.0.watcher).take();
        self.0.pool.close();
    }
}

impl<D: Dialect> Core<D> {
    fn wake(&self, key: &str) {
        let listener = lock(&self.listener).clone();
        if let (Some(wake), Ok(key)) = (listener, Key::new(key)) {
            wake(&key);
        }
    }

    fn tell(&self, text: &str) {
        let notice = lock(&self.notice).clone();
        if let Some(notice) = notice {
            notice(text);
        }
    }

    fn tell_of_pooler(&self) {
        self.tell(
            "a pooler between this process and the database gives each transaction another session: prepared statements \
             and wake-ups are not used",
        );
    }

    /// Somebody else's turn: what is answered without asking the database.
    fn courtesy(&self, command: &Command) -> Option<Answer> {
        let Command::Save { key, waits: true, .. } = command else {
            return None;
        };
        let mut yielded = lock(&self.yielded);
        let until = *yielded.get(key)?;
        if until > self.clock.now() {
            return Some(Answer::Held { until: Some(until) });
        }
        yielded.remove(key);
        None
    }

    /// A lock has been released truly. If somebody waits for it here, others were to get their turn.
    fn released(&self, now: Moment, key: &Key, has_woken: bool) {
        let others_may_wait = if D::LISTENS && !self.pool.dialect.is_blind() { has_woken } else { true };
        if others_may_wait && lock(&self.watched).contains(key) {
            lock(&self.yielded).insert(key.clone(), now + COURTESY);
        }
    }
}

/// What these locks protect is never left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deletes at most `most` locks that ended more than `age` ago, as is done from time to time. For tests, which can't wait.
///
/// # Errors
/// What the database says.
#[cfg(any(test, feature = "testing"))]
pub async fn prune(settings: &Settings, age: Duration, most: u32) -> sqlx::Result<u64> {
    async fn by<D: Dialect>(dialect: D, age: Duration, most: u32) -> sqlx::Result<u64> {
        let mut connection = dialect.connect(&[]).await?;
        dialect.prune(&mut connection, age, most).await
    }
    match &settings.place {
        Place::Postgres { server, search_path, is_pooled, .. } => {
            by(Postgres::new(settings, server, search_path, *is_pooled, None), age, most).await
        }
        Place::MySql { server } => by(MySql::new(settings, server), age, most).await,
        Place::Sqlite { path, busy_timeout, syncs_wal } => {
            by(Sqlite::new(settings, path, *busy_timeout, *syncs_wal), age, most).await
        }
    }
}
