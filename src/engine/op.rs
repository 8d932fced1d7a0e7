//! Commands under way: what was asked of the store, for whom, and what to do with the answer.

use crate::clock::Moment;
use crate::error::Error;
use crate::lease::{Holder, Key, Lease, Owner, Ticket, Ttl};

use super::queue::WaiterId;

/// An attempt to get the lock for a waiter who may have left before the answer comes.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) waiter: WaiterId,
    /// The waiter's queue; `None` for an attempt that doesn't wait.
    pub(super) queue: Option<u32>,
    pub(super) key: Key,
    pub(super) owner: Owner,
    pub(super) ttl: Ttl,
    pub(super) fenced: bool,
    pub(super) ticket: Ticket,
    /// When it was sent: what the lease is dated from.
    pub(super) issued: Moment,
    /// Whether it uses up one of the waiter's chances.
    pub(super) counts: bool,
    /// An earlier save for the same owner was never answered and may yet go through.
    pub(super) doubtful: bool,
}

/// Somebody who waits to hear how their release ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    pub(super) ticket: Ticket,
    /// Whether the lease wasn't over yet, by the releaser's clock, when it was to be released. Then a lock that is gone at
    /// the second try has been released by the first one, whose reply was lost; otherwise it may as well have expired.
    pub(super) was_live: bool,
}

/// Why the store is asked whether the owner holds the key.
#[derive(Debug)]
pub(super) enum Doubt {
    /// It isn't.
    None,
    /// The reply to the save was lost.
    LostReply(Error),
    /// The save was refused, perhaps because of an earlier one that went through late.
    Held(Option<Moment>),
}

/// A lease dated from when its request was sent: however long the answer took, it is never believed longer than it is.
pub(super) fn dated(lease: Lease, issued: Moment, ttl: Ttl) -> Lease {
    let expires_at = match (lease.expires_at, ttl.expiry_from(issued)) {
        (Some(told), Some(dated)) => Some(told.min(dated)),
        (told, dated) => told.or(dated),
    };
    Lease { expires_at, ..lease }
}

/// A command under way.
#[derive(Debug)]
pub(super) enum Op {
    /// A save, or the question whether an earlier save went through.
    Save { attempt: Attempt, doubt: Doubt },
    /// A hand-over from a holder that releases to the head of the queue.
    HandOver { attempt: Attempt, from: Holder, release: Option<Release> },
    /// A release.
    Delete { key: Key, holder: Holder, release: Release, tries: u8 },
    /// The clean-up of a lease whose waiter has left, or of a save that may have gone through.
    Forget { key: Key, holder: Holder, until: Moment, tries: u8, stamp: u32 },
}
