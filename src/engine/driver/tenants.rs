//! Tenants: callers who know what they have asked for by their own tickets, and hear how it ended at an [`Outlet`] instead
//! of by a future. JavaScript environments are tenants: they own their promises, and a future for each call would need a
//! task to look at it.

use std::collections::HashSet;

use tokio::sync::oneshot;

use super::super::leash::Leash;
use super::super::machine::Outcome;
use super::super::retry::Retry;
use super::{Claim, Event, Handle};
use crate::clock::Moment;
use crate::lease::{Key, Owner, Ticket};
use crate::store::{Command, Reply};

/// Who is told of an answer.
#[derive(Debug)]
pub(super) enum Asker<T> {
    /// A future that is parked on the channel.
    Future(oneshot::Sender<T>),
    /// A tenant, by its ticket.
    Tenant(Ticket),
}

/// How something ended that a tenant asked for.
#[derive(Debug)]
pub enum Settlement {
    /// An acquire; the claim tells what was granted.
    Acquire {
        /// How it ended.
        outcome: Outcome,
        /// What was asked for.
        claim: Claim,
        /// The owner must not be used again: what was asked for it is still being cleaned up.
        is_tainted: bool,
    },
    /// A release.
    Release(Outcome),
    /// A command of which the machine knows nothing.
    Reply(Reply),
}

/// Where tenants hear of what they have asked for under their own tickets, instead of by futures.
pub trait Outlet: Send + Sync {
    /// Tells the ticket's owner.
    ///
    /// # Errors
    /// Gives the settlement back if nobody is left to be told.
    fn settle(&self, ticket: Ticket, settlement: Settlement) -> std::result::Result<(), Settlement>;

    /// A lease that was kept is over, though nobody has released it.
    fn lost(&self, _leash: &Leash) {}

    /// When the tenant's thread has turned to something new for the last time; `None` if nobody watches it.
    fn last_turn(&self, _tenant: u32) -> Option<Moment> {
        None
    }
}

/// The outlet of a driver without tenants.
pub(super) struct Nobody;

impl Outlet for Nobody {
    fn settle(&self, _: Ticket, settlement: Settlement) -> std::result::Result<(), Settlement> {
        Err(settlement)
    }
}

/// What a tenant wants.
#[derive(Debug)]
pub enum Order {
    /// The lock of a key.
    Acquire {
        /// What, for whom (named, and used for no other acquisition), for how long.
        claim: Claim,
        /// How long and how often to try.
        retry: Retry,
    },
    /// To release the lock.
    Release {
        /// The key in question.
        key: Key,
        /// Who claims to hold it.
        owner: Owner,
        /// Whether the lease isn't over yet by the caller's clock.
        was_live: bool,
    },
    /// Something that nobody waits in line for.
    Other(Command),
    /// To hear, by a reply, when what is left behind is settled; see [`Handle::clean_up`].
    CleanUp,
}

impl Handle {
    /// Puts a tenant's acquire, release or other command in. It ends with one [`Settlement`] for the ticket, whatever
    /// happens; an unnamed owner is refused like an invalid argument.
    pub fn submit(&self, ticket: Ticket, order: Order) {
        let event = match order {
            Order::Acquire { claim, retry } => {
                Event::Acquire { ticket, claim, retry, asker: Asker::Tenant(ticket) }
            }
            Order::Release { key, owner, was_live } => {
                Event::Release { ticket, key, owner, was_live, asker: Asker::Tenant(ticket) }
            }
            Order::Other(command) => Event::Direct { command, asker: Asker::Tenant(ticket) },
            Order::CleanUp => Event::CleanUp(Asker::Tenant(ticket)),
        };
        let _ = self.events.send(event); // the task ends after the last handle only
    }

    /// A tenant's acquire is cancelled. It still ends with a settlement: `Refused`, or how it had ended before.
    pub fn cancel(&self, ticket: Ticket) {
        let _ = self.events.send(Event::Cancel(ticket));
    }

    /// Some of a tenant's acquires stop waiting; they end with `Closed`.
    pub fn dismiss(&self, tickets: HashSet<Ticket>) {
        let _ = self.events.send(Event::Dismiss(tickets));
    }

    /// A tenant goes, with everything that it waits for. Nothing is settled.
    pub fn evict(&self, tenant: u32) {
        let _ = self.events.send(Event::Evict(tenant));
    }

    /// A lease that was granted has reached nobody: the next in line gets it, or it is deleted.
    pub fn give_back(&self, claim: Claim) {
        let _ = self.events.send(Event::Return(claim));
    }
}
