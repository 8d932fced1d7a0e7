//! How long a lease is extended by itself, and what its holder is told of it.
//!
//! Shared between the holder, in whichever thread, and the [keeper](super::keeper). The holder asks without waiting:
//! even in the line after its thread has been blocked for a while, it hears when its lease ends.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;
use crate::lease::Ticket;

/// Why a lease is over that was extended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Loss {
    /// It ran out before anybody could extend it.
    Expired = 1,
    /// Somebody freed it or has it by now.
    NotOwned = 2,
    /// The store couldn't be reached in time.
    Unreachable = 3,
    /// It has been extended for as long as it may.
    Max = 4,
    /// The holder's thread hasn't turned to anything new for as long as it may.
    Stalled = 5,
}

impl Loss {
    fn from_number(number: u8) -> Option<Self> {
        [Self::Expired, Self::NotOwned, Self::Unreachable, Self::Max, Self::Stalled]
            .into_iter()
            .find(|loss| *loss as u8 == number)
    }
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Leash {
    /// Who is told of a loss: the tenant's own number for the lease.
    pub ticket: Ticket,
    /// How long the lease may last in all; `None` for as long as it is held.
    pub max: Option<Duration>,
    /// How long the holder's thread may be busy with one thing; `None` for ever.
    pub stall: Option<Duration>,
    /// Nanoseconds of the clock: when the lease ends, as far as is known.
    ends_at: AtomicU64,
    loss: AtomicU8,
}

impl Leash {
    /// A leash for a lease that has yet to be granted.
    #[must_use]
    pub fn new(ticket: Ticket, max: Option<Duration>, stall: Option<Duration>) -> Self {
        Self { ticket, max, stall, ends_at: AtomicU64::new(0), loss: AtomicU8::new(0) }
    }

    /// When the lease ends: before that, nobody else gets the lock. In the past once it is lost, and before it is granted.
    #[must_use]
    pub fn ends_at(&self) -> Moment {
        Moment::from_nanos(self.ends_at.load(Ordering::Acquire))
    }

    /// Why it is lost, if it is.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        Loss::from_number(self.loss.load(Ordering::Acquire))
    }

    pub(super) fn set_end(&self, end: Moment) {
        self.ends_at
            .store(end.since(Moment::START).as_nanos().try_into().unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn lose(&self, loss: Loss) {
        self.loss.store(loss as u8, Ordering::Release);
        self.ends_at.store(0, Ordering::Release);
    }
}
