//! The shell for stores that answer later: a tokio task that runs the [machine](super::machine).
//!
//! # How it works
//! One task owns the machine, so nothing is locked. Callers reach it over a channel: [`Handle::acquire`] and the others
//! submit at once, within the call, and return a future that is parked on a `oneshot` channel until the task answers.
//! The task sleeps until there is something to do: an event, an answer of the store, a wake-up from the store, or the
//! machine's next deadline, for which there is one timer however many waiters there are.
//!
//! # Batching
//! Whenever it runs, the task takes everything that is queued, feeds it to the machine and sends what the machine wants
//! of the store as one batch. It never waits for company: a lone command leaves at once. While [`Options::fresh_limit`]
//! batches have been under way for less than a millisecond, or [`Options::flight_limit`] in all, further commands gather
//! and leave together as soon as one lands; so the busier the store, the larger the batches.
//!
//! # Fairness
//! The machine's: first come, first served within this driver; bounded runs of hand-overs towards others.
//!
//! # Cancellation
//! Dropping the future of an acquire cancels it. Whatever the moment (in the channel, in the queue, at the store, granted
//! but not yet looked at), no lease stays behind: it goes to the next waiter or is deleted. The futures of the other
//! operations may be dropped too, but what they asked for is still done.
//!
//! # Back-pressure
//! Submitting never blocks and nothing is refused. What is queued is bounded by what the callers have open, and each key
//! has at most one command under way on behalf of its waiters, so a burst of acquires doesn't become a burst of commands.
//!
//! # Time
//! A lease is dated from before its request was sent, so it is never believed longer than it is; of extensions that
//! are under way at the same time, no more than what any of them may have left. A command is answered within
//! [`Options::command_timeout`] of its submission, by the store or by the driver: one that could not even be sent by
//! then fails with [`ErrorKind::Storage`], one that was sent fails with [`ErrorKind::Uncertain`], and the lease that
//! it may have made is cleaned up in the background. A waiter's own `retry.timeout` is kept even if the store hangs.
//!
//! # Leases that are kept
//! A claim with a [`Leash`] is extended by the [keeper](super::keeper) from its grant on, until it is released or lost; its
//! extensions join the batches. The holder hears of a loss at [`Outlet::lost`].
//!
//! # The end
//! [`Handle::close`] settles all waiters with [`ErrorKind::Closed`] and refuses new ones; releases still work. When the
//! last handle and the last pending acquire are gone, the task finishes what is under way, for
//! [`Options::command_timeout`] at most, and ends.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use super::leash::Leash;
use super::machine::{Outcome, Request};
use super::retry::Retry;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::{Holder, Key, Lease, Owner, Ticket, Ttl};
use crate::store::{Answer, Command, LockStore, Reply};

mod board;
mod crossings;
mod options;
mod outbox;
mod task;
mod tenants;

use board::Board;
pub use options::Options;
use tenants::Asker;
pub use tenants::{Order, Outlet, Settlement};

/// Starts drivers. See the [module documentation](self).
#[derive(Debug)]
pub struct Driver;

impl Driver {
    /// Starts a driver for `store` on `runtime`, with the usual [`Options`].
    pub fn spawn(
        store: Arc<dyn LockStore>,
        clock: Arc<dyn Clock>,
        runtime: &tokio::runtime::Handle,
    ) -> Handle {
        Self::spawn_with(store, clock, runtime, Options::default())
    }

    /// Starts a driver with the given options. `runtime` must have its timer enabled.
    pub fn spawn_with(
        store: Arc<dyn LockStore>,
        clock: Arc<dyn Clock>,
        runtime: &tokio::runtime::Handle,
        options: Options,
    ) -> Handle {
        Self::spawn_for(store, clock, runtime, options, Arc::new(tenants::Nobody))
    }

    /// Starts a driver whose tenants hear at `outlet` of what they [`submit`](Handle::submit).
    pub fn spawn_for(
        store: Arc<dyn LockStore>,
        clock: Arc<dyn Clock>,
        runtime: &tokio::runtime::Handle,
        options: Options,
        outlet: Arc<dyn Outlet>,
    ) -> Handle {
        let (events, inbox) = mpsc::unbounded_channel();
        let weak = events.downgrade();
        store.on_wake_up(Arc::new(move |key| {
            // A wake-up that nobody is left to hear is no loss.
            if let Some(events) = weak.upgrade() {
                let _ = events.send(Event::Woken(key.clone()));
            }
        }));
        let name = store.name();
        let board = Board::default();
        runtime.spawn(task::Task::new(store, clock, inbox, options, outlet, board.clone()).run());
        Handle { events, serials: Arc::default(), store: name, board }
    }
}

/// What an acquire brings if it is granted.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What is locked.
    pub key: Key,
    /// For whom.
    pub owner: Owner,
    /// For how long.
    pub ttl: Ttl,
    /// Whether with a fencing token.
    pub fenced: bool,
    /// How long it is extended by itself, if it is.
    pub leash: Option<Arc<Leash>>,
}

impl Claim {
    fn request(&self, ticket: Ticket, retry: Retry) -> Request {
        let Self { key, owner, ttl, fenced, .. } = self.clone();
        Request { ticket, key, owner, ttl, fenced, retry }
    }
}

/// What the task is told.
#[derive(Debug)]
enum Event {
    Acquire {
        ticket: Ticket,
        claim: Claim,
        retry: Retry,
        asker: Asker<Outcome>,
    },
    Cancel(Ticket),
    /// These stop waiting.
    Dismiss(HashSet<Ticket>),
    /// A tenant goes.
    Evict(u32),
    /// A lease that was granted to somebody who has gone.
    Return(Claim),
    Release {
        ticket: Ticket,
        key: Key,
        owner: Owner,
        was_live: bool,
        asker: Asker<Outcome>,
    },
    /// A command that the machine has no part in.
    Direct {
        command: Command,
        asker: Asker<Reply>,
    },
    Woken(Key),
    /// Somebody wants to hear when nothing is left behind.
    CleanUp(Asker<Reply>),
    Close(oneshot::Sender<()>),
}

/// A driver. Cheap to clone; the last one to go ends the driver.
#[derive(Clone, Debug)]
pub struct Handle {
    events: mpsc::UnboundedSender<Event>,
    serials: Arc<AtomicU64>,
    store: &'static str,
    board: Board,
}

impl Handle {
    /// Wants the lock of `key`. `owner` must be named, and used for no other acquisition.
    ///
    /// The future resolves with the lease, or with `None` when the chances or the time of `retry` are used up. It fails
    /// with `Storage` or `Uncertain` if the store does, with `Closed`, and with `InvalidArgument` for an unnamed owner.
    #[must_use = "dropping the future cancels the acquire"]
    pub fn acquire(&self, key: Key, owner: Owner, ttl: Ttl, retry: Retry) -> Acquire {
        self.acquire_claim(Claim { key, owner, ttl, fenced: false, leash: None }, retry)
    }

    /// As [`acquire`](Self::acquire); the lease has a fencing token.
    #[must_use = "dropping the future cancels the acquire"]
    pub fn acquire_fenced(&self, key: Key, owner: Owner, ttl: Ttl, retry: Retry) -> Acquire {
        self.acquire_claim(Claim { key, owner, ttl, fenced: true, leash: None }, retry)
    }

    fn acquire_claim(&self, claim: Claim, retry: Retry) -> Acquire {
        let ticket = self.ticket();
        let (answer, outcome) = oneshot::channel();
        let state = if claim.owner.name().is_none() {
            State::Failed(Error::invalid("a lock that other processes see needs a named owner"))
        } else {
            let event = Event::Acquire { ticket, claim: claim.clone(), retry, asker: Asker::Future(answer) };
            match self.events.send(event) {
                Ok(()) => State::Pending(outcome),
                Err(_) => State::Failed(closed(self.store, "acquire")),
            }
        };
        Acquire { state, events: self.events.clone(), store: self.store, ticket, claim }
    }

    /// Releases the lock of `key` that `owner` holds. Done even if the future is dropped.
    ///
    /// # Errors
    /// The future fails with `NotOwned` if the owner doesn't hold it, otherwise as [`acquire`](Self::acquire) does.
    pub fn release(&self, key: Key, owner: Owner) -> impl Future<Output = Result<()>> + Send + use<> {
        let (answer, outcome) = oneshot::channel();
        let store = self.store;
        let asker = Asker::Future(answer);
        let release = Event::Release { ticket: self.ticket(), key, owner, was_live: true, asker };
        let _ = self.events.send(release);
        async move {
            match outcome.await {
                Ok(Outcome::Released) => Ok(()),
                Ok(Outcome::NotOwned) => Err(not_owned(store, "release")),
                Ok(Outcome::Failed(error)) => Err(error),
                _ => Err(closed(store, "release")),
            }
        }
    }

    /// Makes the lease that `owner` has of `key` end `ttl` from now.
    ///
    /// # Errors
    /// The future fails with `NotOwned` if the owner doesn't hold it (an expired lease isn't revived), otherwise as
    /// [`acquire`](Self::acquire) does.
    pub fn extend(
        &self,
        key: Key,
        owner: Owner,
        ttl: Ttl,
    ) -> impl Future<Output = Result<Lease>> + Send + use<> {
        let store = self.store;
        let reply = self.direct(Command::Extend { key, holder: Holder::Owner(owner), ttl });
        async move {
            match reply.await.unwrap_or_else(|_| Err(closed(store, "extend")))? {
                Answer::Acquired(lease) => Ok(lease),
                _ => Err(not_owned(store, "extend")),
            }
        }
    }

    /// Frees the lock of `key` whoever holds it.
    ///
    /// # Errors
    /// The future fails with `Storage` or `Uncertain` if the store does, and with `Closed`.
    pub fn force_release(&self, key: Key) -> impl Future<Output = Result<()>> + Send + use<> {
        let store = self.store;
        let reply = self.direct(Command::ForceDelete { key });
        async move { reply.await.unwrap_or_else(|_| Err(closed(store, "force release"))).map(|_| ()) }
    }

    /// Whether anybody holds the lock of `key`.
    ///
    /// # Errors
    /// The future fails with `Storage` or `Uncertain` if the store does, and with `Closed`.
    pub fn exists(&self, key: Key) -> impl Future<Output = Result<bool>> + Send + use<> {
        let store = self.store;
        let reply = self.direct(Command::Exists { key });
        async move {
            let answer = reply.await.unwrap_or_else(|_| Err(closed(store, "exists")))?;
            Ok(answer == Answer::Exists(true))
        }
    }

    /// Ends all waits: they fail with `Closed`, and so does every acquire from now on. The future resolves when nothing is
    /// under way at the store any longer, after [`Options::command_timeout`] at the latest.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        let (answer, done) = oneshot::channel();
        let _ = self.events.send(Event::Close(answer));
        async move {
            // An error means that the driver has ended: nothing waits, nothing is under way.
            let _ = done.await;
        }
    }

    /// Resolves when what is being given back now, or was asked for by somebody who has left, is settled at the store: freed,
    /// passed on, or known not to exist. What couldn't be freed at the first try isn't waited for.
    ///
    /// # Errors
    /// The future fails with `Closed`.
    pub fn clean_up(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let store = self.store;
        let (answer, reply) = oneshot::channel();
        let _ = self.events.send(Event::CleanUp(Asker::Future(answer)));
        async move { reply.await.unwrap_or_else(|_| Err(closed(store, "clean up"))).map(|_| ()) }
    }

    fn direct(&self, command: Command) -> oneshot::Receiver<Reply> {
        let (answer, reply) = oneshot::channel();
        let _ = self.events.send(Event::Direct { command, asker: Asker::Future(answer) });
        reply
    }

    /// A ticket that was never used before: both halves count. Tenants that choose their own tickets have numbers from 1
    /// on, which these reach after 2^32 acquires; a driver is used in one of the two ways only.
    fn ticket(&self) -> Ticket {
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        let [high, low] =
            [serial >> 32, serial & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(0));
        Ticket { tenant: high, number: low }
    }
}

/// A pending acquire. Dropping it cancels it.
#[derive(Debug)]
#[must_use = "dropping the future cancels the acquire"]
pub struct Acquire {
    state: State,
    events: mpsc::UnboundedSender<Event>,
    store: &'static str,
    ticket: Ticket,
    claim: Claim,
}

#[derive(Debug)]
enum State {
    Pending(oneshot::Receiver<Outcome>),
    Failed(Error),
    Over,
}

impl Future for Acquire {
    type Output = Result<Option<Lease>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let store = self.store;
        match &mut self.state {
            State::Pending(outcome) => {
                let Poll::Ready(outcome) = Pin::new(outcome).poll(context) else {
                    return Poll::Pending;
                };
                self.state = State::Over;
                Poll::Ready(match outcome {
                    Ok(Outcome::Acquired(lease)) => Ok(Some(lease)),
                    Ok(Outcome::Refused) => Ok(None),
                    Ok(Outcome::Failed(error)) => Err(error),
                    _ => Err(closed(store, "acquire")),
                })
            }
            State::Failed(error) => {
                let error = error.clone();
                self.state = State::Over;
                Poll::Ready(Err(error))
            }
            State::Over => Poll::Ready(Err(closed(store, "acquire"))),
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let State::Pending(outcome) = &mut self.state else {
            return;
        };
        // From here on the task sees that a grant reaches nobody; one that came before is given back.
        outcome.close();
        let event = match outcome.try_recv() {
            Ok(Outcome::Acquired(_)) => Event::Return(self.claim.clone()),
            Ok(_) => return,
            Err(_) => Event::Cancel(self.ticket),
        };
        let _ = self.events.send(event);
    }
}

fn closed(store: &'static str, operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, store, operation, "the lock space has been closed")
}

fn not_owned(store: &'static str, operation: &'static str) -> Error {
    Error::new(ErrorKind::NotOwned, store, operation, "the lock isn't held by this owner")
}
