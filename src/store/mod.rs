//! What a lock store does, and the stores.
//!
//! Two shapes of one contract: an [`ImmediateStore`] answers within the call (memory), a [`LockStore`] answers later
//! and takes commands in batches (servers). Neither queues anybody: waiting is the engine's work, and no store knows
//! the engine.

mod command;
pub mod database;
pub mod memory;
pub mod redis;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
#[cfg(any(test, feature = "testing"))]
pub mod served;

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::figures::Traffic;
use crate::lease::{Holder, Key, Lease, LeaseId, Owner, Ticket, Ttl};

pub use command::{Answer, Command, Reply};

/// What a store can promise; the engine makes up for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The store may free a lock without the engine learning of it (other processes, a store that sends no wake-ups),
    /// so the head of each queue asks again every `retry.delay`. A store that isn't polled must tell expiries.
    pub polls: bool,
    /// A refused save tells when the holder's lease ends; where the store watches, once the key is watched. Where it doesn't, the engine remembers the leases that it
    /// saw granted, so that local waiters are still woken at expiry.
    pub tells_expiry: bool,
    /// How many times in a row a lease may pass from a local holder straight to a local waiter, in one command, before
    /// a true release gives other processes their turn. `None`: the store has no such command.
    pub hand_over: Option<NonZeroU32>,
    /// The store wants to know which keys are waited for.
    pub watches: bool,
}

/// The answer to a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// The lock is the caller's.
    Acquired(Lease),
    /// Somebody else has it, as far as the store tells until the given moment.
    Held {
        /// When the holder's lease ends, if it ends and if the store knows.
        until: Option<Moment>,
    },
}

/// Who wants a lock, and how.
#[derive(Clone, Copy, Debug)]
pub struct Bid<'a> {
    /// For whom.
    pub owner: &'a Owner,
    /// For how long.
    pub ttl: Ttl,
    /// On whose behalf.
    pub ticket: Ticket,
    /// Whether a fencing token is wanted.
    pub fenced: bool,
}

/// A store that answers within the call.
pub trait ImmediateStore {
    /// What it can promise.
    fn capability(&self) -> Capability;

    /// Saves the lock for the bidder unless somebody holds it.
    fn save(&mut self, now: Moment, key: &Key, bid: Bid<'_>) -> Save;

    /// Moves the lock from its holder to a new owner. `None` if `from` doesn't hold it.
    fn hand_over(&mut self, now: Moment, key: &Key, from: &Holder, to: Bid<'_>) -> Option<Lease>;

    /// Deletes the lock if `holder` holds it; tells whether it did.
    fn delete(&mut self, now: Moment, key: &Key, holder: &Holder) -> bool;

    /// The key of a live lease that is known by its identity alone.
    fn key_of(&self, now: Moment, id: LeaseId) -> Option<&Key>;

    /// Deletes such a lease; tells whether it was live.
    fn delete_lease(&mut self, now: Moment, id: LeaseId) -> bool;
}

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Called by a store when a key that is watched may have become free. A hint: it may come too often, late or never.
pub type WakeUp = Arc<dyn Fn(&Key) + Send + Sync>;

/// A store that answers later.
///
/// Object-safe and small on purpose: a decorator forwards six methods.
pub trait LockStore: Send + Sync {
    /// The store's name in errors and logs.
    fn name(&self) -> &'static str;

    /// What it can promise.
    fn capability(&self) -> Capability;

    /// Performs a batch of commands and answers each, in order. One command's failure doesn't fail its neighbours.
    ///
    /// `patience` is how long the caller will wait. A store that can't even send a command by then should answer a little
    /// earlier, with `Storage`: it alone knows that nothing was done.
    ///
    /// Dropping the future may leave commands performed or not; the engine then asks with [`Command::Confirm`].
    fn execute(&self, batch: Vec<Command>, patience: Duration) -> BoxFuture<'_, Vec<Reply>>;

    /// Commands for keys of different lanes travel in batches of their own, so that one server that hangs doesn't hold up
    /// what is for another.
    fn lane(&self, _key: &Key) -> u32 {
        0
    }

    /// Sets who is told of wake-ups.
    fn on_wake_up(&self, _listener: WakeUp) {}

    /// Tells that somebody here waits for the key (`true`) or that nobody does any longer (`false`). A key that is free
    /// when it begins to be watched is woken at once.
    fn watch(&self, _key: &Key, _waiting: bool) {}
}

impl<S: LockStore + ?Sized> LockStore for Arc<S> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn capability(&self) -> Capability {
        (**self).capability()
    }

    fn execute(&self, batch: Vec<Command>, patience: Duration) -> BoxFuture<'_, Vec<Reply>> {
        (**self).execute(batch, patience)
    }

    fn lane(&self, key: &Key) -> u32 {
        (**self).lane(key)
    }

    fn on_wake_up(&self, listener: WakeUp) {
        (**self).on_wake_up(listener);
    }

    fn watch(&self, key: &Key, waiting: bool) {
        (**self).watch(key, waiting);
    }
}

/// Called with what a person should know: a setting that is not needed, wake-ups that don't work.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// A store that has connections.
pub trait ServerStore: LockStore {
    /// Sets who is told what a person should know.
    fn on_notice(&self, notice: Notice);

    /// What it costs to speak to the servers.
    fn traffic(&self) -> &Traffic;

    /// Closes all connections. A later command makes new ones.
    fn close(&self);
}

/// A name that no other process and no other session has: 128 bits from the operating system's random source, by way of
/// the standard library's hash seeds.
pub(crate) fn random_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    let number = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", number(), number())
}
