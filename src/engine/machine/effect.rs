//! What the machine wants of its shell.

use std::collections::VecDeque;

use super::OpId;
use crate::clock::Moment;
use crate::error::Error;
use crate::lease::{Holder, Key, Lease, Owner, Ticket, Ttl};

/// How an acquire or a release ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The lock is the caller's.
    Acquired(Lease),
    /// Chances or time are used up.
    Refused,
    /// The lock has been released.
    Released,
    /// The caller doesn't hold the lock that it wanted to release.
    NotOwned,
    /// The store failed.
    Failed(Error),
    /// The engine was closed.
    Closed,
}

/// What the shell has to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Save the lock; answer with [`Machine::saved`](super::Machine::saved).
    Save {
        /// Which command.
        op: OpId,
        /// On whose behalf.
        ticket: Ticket,
        /// What to lock.
        key: Key,
        /// For whom.
        owner: Owner,
        /// For how long.
        ttl: Ttl,
        /// Whether a fencing token is wanted.
        fenced: bool,
        /// Whether the waiter stands in a queue, and will ask again if refused.
        waits: bool,
    },
    /// Ask whether the owner holds the key; answer with [`Machine::confirmed`](super::Machine::confirmed).
    Confirm {
        /// Which command.
        op: OpId,
        /// The key in question.
        key: Key,
        /// The owner in question.
        owner: Owner,
        /// Whether it wanted a fencing token.
        fenced: bool,
    },
    /// Move the lock to a new owner; answer with [`Machine::handed_over`](super::Machine::handed_over).
    HandOver {
        /// Which command.
        op: OpId,
        /// On whose behalf.
        ticket: Ticket,
        /// The key in question.
        key: Key,
        /// Who releases.
        from: Holder,
        /// Who gets it.
        to: Owner,
        /// For how long.
        ttl: Ttl,
        /// Whether a fencing token is wanted.
        fenced: bool,
    },
    /// Delete the lock if the holder holds it; answer with [`Machine::deleted`](super::Machine::deleted).
    Delete {
        /// Which command.
        op: OpId,
        /// The key in question.
        key: Key,
        /// Who releases.
        holder: Holder,
    },
    /// Tell the ticket's owner how it ended.
    Settle {
        /// Whose.
        ticket: Ticket,
        /// How it ended.
        outcome: Outcome,
        /// When the acquire began; for a release, the beginning of time.
        since: Moment,
    },
    /// Somebody waits for the key (`true`), or nobody does any longer. For stores that want to know.
    Watch {
        /// The key in question.
        key: Key,
        /// Whether anybody waits.
        waiting: bool,
    },
}

/// Effects in the order in which they are to be performed.
pub type Effects = VecDeque<Effect>;
