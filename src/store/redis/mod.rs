//! Locks in Redis (or Valkey): one server, a primary that sentinels know, or a cluster.
//!
//! - [`settings`]: where a Redis is and how to speak to it.
//! - `connect`, `tls`, `sentinel`, `link`: making a connection, and making it again.
//! - `router`: which server holds a key.
//! - `scripts`: the scripts, and the format of everything that is stored or published.
//! - `request`: one command of the engine as Redis commands, and what the answers mean.
//! - `exchange`: sending a batch, and what is tried again.
//! - `line`, `subscriber`: standing in line with other processes, and hearing of one's turn.
//!
//! # What one command costs
//! A first try is one `SET … NX PX`; a release, an extension and a hand-over are one script call each; a wait adds one
//! call that stands in line and, after the wake-up, one that takes the lock. What is queued together travels in one
//! pipeline.
//!
//! # What is never repeated
//! A command whose reply is lost may have been performed, so it isn't sent again here: the engine asks whether its owner
//! holds the key. Repeated is only what the server has refused without doing anything: unknown scripts, redirections, a
//! server that is loading, read-only or without its cluster.

mod bulk;
mod connect;
mod exchange;
mod line;
mod link;
#[cfg(any(test, feature = "testing"))]
pub mod model;
mod request;
mod router;
mod scripts;
mod sentinel;
pub mod settings;
mod subscriber;
mod tls;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use self::line::{Lines, Step};
use self::request::{Request, Setting};
use self::router::Router;
use self::settings::Settings;
use self::subscriber::Subscriber;
use super::{BoxFuture, Capability, Command, LockStore, Notice, Reply, ServerStore, WakeUp};
use crate::clock::{Clock, Moment};
use crate::figures::Traffic;
use crate::lease::Key;

/// The store's name in errors.
const STORE: &str = "redis";

/// How many times in a row a lease may go from task to task within a process before others get their turn.
const LOCAL_TURNS: NonZeroU32 = NonZeroU32::new(16).unwrap();

/// Locks in Redis. See the [module documentation](self).
///
/// Nothing is connected before the first command. Must be used within a tokio runtime with I/O and time enabled.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    router: Router,
    lines: Mutex<Lines>,
    /// Whether we may touch lines and publish.
    has_lines: AtomicBool,
    listener: Mutex<Option<WakeUp>>,
    notice: Mutex<Option<Notice>>,
    subscriber: Mutex<Option<mpsc::UnboundedSender<subscriber::Wish>>>,
    traffic: Arc<Traffic>,
}

impl RedisStore {
    /// A store for the given settings. `process` must be a name that no other process has, such as a random number.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, process: String) -> Self {
        let (settings, traffic) = (Arc::new(settings), Arc::<Traffic>::default());
        Self(Arc::new(Inner {
            router: Router::new(Arc::clone(&settings), Arc::clone(&traffic)),
            settings,
            clock,
            lines: Mutex::new(Lines::new(process)),
            has_lines: AtomicBool::new(true),
            listener: Mutex::default(),
            notice: Mutex::default(),
            subscriber: Mutex::default(),
            traffic,
        }))
    }
}

impl ServerStore for RedisStore {
    fn on_notice(&self, notice: Notice) {
        *lock(&self.0.notice) = Some(notice);
    }

    fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    fn close(&self) {
        lock(&self.0.subscriber).take();
        self.0.router.close();
    }
}

impl LockStore for RedisStore {
    fn name(&self) -> &'static str {
        STORE
    }

    /// It is polled, since a holder may be of a kind that wakes nobody.
    fn capability(&self) -> Capability {
        Capability { polls: true, tells_expiry: true, hand_over: Some(LOCAL_TURNS), watches: true }
    }

    fn execute(&self, batch: Vec<Command>, patience: Duration) -> BoxFuture<'_, Vec<Reply>> {
        let requests = batch.into_iter().map(Request::Command).collect();
        Box::pin(exchange::perform(&self.0, requests, patience))
    }

    fn lane(&self, key: &Key) -> u32 {
        self.0.router.lane(key.as_str())
    }

    fn on_wake_up(&self, listener: WakeUp) {
        *lock(&self.0.listener) = Some(listener);
    }

    fn watch(&self, key: &Key, waiting: bool) {
        let inner = &self.0;
        let channels = || inner.setting().names(key).channels;
        let step = lock(&inner.lines).watch(inner.now(), key, waiting, channels);
        match step {
            Some(Step::Wake(key)) => inner.wake(&key),
            Some(step) => Subscriber::tell(inner, step),
            None => {}
        }
    }
}

impl Inner {
    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn setting(&self) -> Setting {
        Setting {
            db: self.settings.db,
            is_cluster: self.router.is_cluster(),
            has_lines: self.has_lines.load(Ordering::Relaxed),
        }
    }

    fn wake(&self, key: &Key) {
        let listener = lock(&self.listener).clone();
        if let Some(wake) = listener {
            wake(key);
        }
    }

    fn tell(&self, text: &str) {
        let notice = lock(&self.notice).clone();
        if let Some(notice) = notice {
            notice(text);
        }
    }

    /// Wake-ups will never come, for this reason.
    fn give_up_hearing(&self, reason: &str) {
        let steps = lock(&self.lines).is_deaf();
        let Some(steps) = steps else {
            return; // that has been said already
        };
        self.tell(&format!(
            "wake-ups from Redis are not possible ({reason}): waiting acquires ask every retry.delay instead"
        ));
        for step in steps {
            if let Step::Wake(key) = step {
                self.wake(&key);
            }
        }
    }

    /// Lines and channels are forbidden to our user.
    fn give_up_lines(&self, reason: &str) {
        if self.has_lines.swap(false, Ordering::Relaxed) {
            self.give_up_hearing(reason);
        }
    }
}

/// What these locks protect is never left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
