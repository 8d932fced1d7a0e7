//! A lock server for tests: one [`MemoryStore`] behind [`LockStore`] connections.
//!
//! [`Served`] is the server, with a clock of its own that decides about expiry. Each [`Connection`] is what one process
//! has of it: a store that several drivers can't share, with its own subscriptions. What the server promises is
//! configurable, so that one set of tests covers stores that must be polled, that don't tell when a lease ends, that
//! can't hand over, that send wake-ups.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::memory::MemoryStore;
use super::{Answer, Bid, BoxFuture, Capability, Command, ImmediateStore, LockStore, Reply, Save, WakeUp};
use crate::clock::{Clock, Moment};
use crate::lease::{Holder, Key, Lease, LeaseId, Ticket, Ttl};

/// Time as tokio counts it, so that a paused runtime pauses this clock too.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock(tokio::time::Instant);

impl TokioClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        Moment::START + self.0.elapsed()
    }
}

/// A lock server. Clones are the same server.
#[derive(Clone)]
pub struct Served(Arc<Server>);

struct Server {
    capability: Capability,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    store: MemoryStore,
    connections: Vec<Subscriptions>,
    batches: Vec<usize>,
}

#[derive(Default)]
struct Subscriptions {
    listener: Option<WakeUp>,
    keys: HashSet<Key>,
}

impl Served {
    /// A server whose time is told by `clock`, promising `capability`.
    #[must_use]
    pub fn new(capability: Capability, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Server { capability, clock, state: Mutex::default() }))
    }

    /// A new connection, for a process whose time is told by `clock`.
    #[must_use]
    pub fn connect(&self, clock: Arc<dyn Clock>) -> Connection {
        let mut state = self.0.lock();
        state.connections.push(Subscriptions::default());
        Connection { number: state.connections.len() - 1, server: Arc::clone(&self.0), clock }
    }

    /// How many live leases there are.
    #[must_use]
    pub fn live_leases(&self) -> usize {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        state.store.sweep(now, usize::MAX);
        state.store.len()
    }

    /// How many keys are watched, over all connections.
    #[must_use]
    pub fn watched_keys(&self) -> usize {
        self.0.lock().connections.iter().map(|connection| connection.keys.len()).sum()
    }

    /// The sizes of the batches that have come, in order.
    #[must_use]
    pub fn batches(&self) -> Vec<usize> {
        self.0.lock().batches.clone()
    }
}

impl Server {
    /// A thread that panicked in a test must not hide its own message behind a poisoned lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is to be woken since the key is free.
    fn listeners_of(state: &State, key: &Key) -> Vec<WakeUp> {
        state
            .connections
            .iter()
            .filter(|connection| connection.keys.contains(key))
            .filter_map(|connection| connection.listener.clone())
            .collect()
    }
}

/// What one process has of a [`Served`].
pub struct Connection {
    server: Arc<Server>,
    clock: Arc<dyn Clock>,
    number: usize,
}

impl Connection {
    /// The server's answer as the process understands it: in its own time, and without the server's table places.
    fn translate(&self, now: Moment, answer: Answer) -> Answer {
        let local = |at: Moment| self.clock.now() + at.since(now);
        match answer {
            Answer::Acquired(lease) => {
                let expires_at = lease.expires_at.map(local);
                Answer::Acquired(Lease { id: LeaseId::default(), expires_at, ..lease })
            }
            Answer::Held { until } => {
                Answer::Held { until: until.filter(|_| self.server.capability.tells_expiry).map(local) }
            }
            other => other,
        }
    }
}

impl LockStore for Connection {
    fn name(&self) -> &'static str {
        "served"
    }

    fn capability(&self) -> Capability {
        self.server.capability
    }

    fn execute(&self, batch: Vec<Command>, _patience: Duration) -> BoxFuture<'_, Vec<Reply>> {
        Box::pin(async move {
            let now = self.server.clock.now();
            let mut to_wake = Vec::new();
            let mut replies = Vec::with_capacity(batch.len());
            {
                let mut state = self.server.lock();
                state.batches.push(batch.len());
                for command in batch {
                    let answer = perform(&mut state.store, now, &command);
                    if answer == Answer::Done
                        && let Command::Delete { key, .. } | Command::ForceDelete { key } = command
                    {
                        to_wake.extend(
                            Server::listeners_of(&state, &key).into_iter().map(|wake| (wake, key.clone())),
                        );
                    }
                    replies.push(Ok(self.translate(now, answer)));
                }
            }
            for (wake, key) in to_wake {
                wake(&key);
            }
            replies
        })
    }

    fn on_wake_up(&self, listener: WakeUp) {
        self.server.lock().connections[self.number].listener = Some(listener);
    }

    /// Subscribing to a key that is free already wakes at once: its release may have come just before.
    fn watch(&self, key: &Key, waiting: bool) {
        let now = self.server.clock.now();
        let mut state = self.server.lock();
        let is_free = !state.store.exists(now, key.as_str());
        let subscriptions = &mut state.connections[self.number];
        if !waiting {
            subscriptions.keys.remove(key);
            return;
        }
        subscriptions.keys.insert(key.clone());
        let listener = subscriptions.listener.clone().filter(|_| is_free);
        drop(state);
        if let Some(wake) = listener {
            wake(key);
        }
    }
}

/// One command performed on a store in memory.
pub fn perform(store: &mut MemoryStore, now: Moment, command: &Command) -> Answer {
    let owned = |lease: Option<Lease>| lease.map_or(Answer::NotOwned, Answer::Acquired);
    let bid = |owner, ttl: &Ttl, fenced: &bool| -> Bid<'_> {
        Bid { owner, ttl: *ttl, ticket: Ticket::default(), fenced: *fenced }
    };
    match command {
        Command::Save { key, owner, ttl, fenced, .. } => {
            match store.save(now, key, bid(owner, ttl, fenced)) {
                Save::Acquired(lease) => Answer::Acquired(lease),
                Save::Held { until } => Answer::Held { until },
            }
        }
        Command::Confirm { key, owner, .. } => owned(store.lease_of(now, key.as_str(), owner)),
        Command::HandOver { key, from, to, ttl, fenced } => {
            owned(store.hand_over(now, key, from, bid(to, ttl, fenced)))
        }
        Command::Delete { key, holder } => done(store.delete(now, key, holder)),
        Command::ForceDelete { key } => {
            store.force_delete(now, key.as_str());
            Answer::Done
        }
        Command::Extend { key, holder, ttl } => owned(store.extend(now, key.as_str(), holder, *ttl)),
        Command::Exists { key } => Answer::Exists(store.exists(now, key.as_str())),
    }
}

fn done(it_was: bool) -> Answer {
    if it_was { Answer::Done } else { Answer::NotOwned }
}

/// The claim of an owner by name.
#[must_use]
pub fn claim(owner: &crate::lease::Owner) -> Holder {
    Holder::Owner(owner.clone())
}
