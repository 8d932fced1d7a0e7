//! What is asked of a [`LockStore`](super::LockStore), and what it answers.

use crate::clock::Moment;
use crate::error::Result;
use crate::lease::{Holder, Key, Lease, Owner, Ttl};

/// One thing to do. Every command checks and changes in one atomic step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Save the lock for `owner` unless somebody holds it. Answered by [`Answer::Acquired`] or [`Answer::Held`].
    Save {
        /// What to lock.
        key: Key,
        /// For whom; never unnamed.
        owner: Owner,
        /// For how long.
        ttl: Ttl,
        /// Whether a fencing token is wanted.
        fenced: bool,
        /// Whether whoever asks will wait if refused: a store may then put this process in line with others.
        waits: bool,
    },
    /// Ask whether `owner` holds the lock, after a reply was lost. [`Answer::Acquired`] or [`Answer::NotOwned`].
    Confirm {
        /// The key in question.
        key: Key,
        /// The owner in question.
        owner: Owner,
        /// Whether it wanted a fencing token: the answer then has that of its acquisition.
        fenced: bool,
    },
    /// Move the lock from `from` to `to`. [`Answer::Acquired`] or [`Answer::NotOwned`].
    HandOver {
        /// The key in question.
        key: Key,
        /// Who holds it now.
        from: Holder,
        /// Who shall hold it.
        to: Owner,
        /// For how long from now.
        ttl: Ttl,
        /// Whether a fencing token is wanted.
        fenced: bool,
    },
    /// Delete the lock if `holder` holds it. [`Answer::Done`] or [`Answer::NotOwned`].
    Delete {
        /// The key in question.
        key: Key,
        /// Who claims to hold it.
        holder: Holder,
    },
    /// Delete the lock whoever holds it. [`Answer::Done`].
    ForceDelete {
        /// The key in question.
        key: Key,
    },
    /// Make the lease end `ttl` from now if `holder` holds it. [`Answer::Acquired`] or [`Answer::NotOwned`].
    Extend {
        /// The key in question.
        key: Key,
        /// Who claims to hold it.
        holder: Holder,
        /// For how long from now.
        ttl: Ttl,
    },
    /// Ask whether anybody holds the lock. [`Answer::Exists`].
    Exists {
        /// The key in question.
        key: Key,
    },
}

impl Command {
    /// The key in question.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Save { key, .. }
            | Self::Confirm { key, .. }
            | Self::HandOver { key, .. }
            | Self::Delete { key, .. }
            | Self::ForceDelete { key }
            | Self::Extend { key, .. }
            | Self::Exists { key } => key,
        }
    }
}

/// What a store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The lease is the asking owner's.
    Acquired(Lease),
    /// Somebody else holds the lock.
    Held {
        /// When the lease ends, if the store knows.
        until: Option<Moment>,
    },
    /// The claimed holder doesn't hold the lock.
    NotOwned,
    /// Done.
    Done,
    /// Whether somebody holds the lock.
    Exists(bool),
}

/// An answer, or why there is none.
pub type Reply = Result<Answer>;
