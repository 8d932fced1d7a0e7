//! One lease that is kept: what is believed of it, and what may still become of it.

use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use super::super::leash::{Leash, Loss};
use crate::clock::Moment;
use crate::lease::{Key, Owner, Ttl};

/// Names a lease that is kept. The serial is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptId {
    pub(super) index: u32,
    pub(super) serial: u64,
}

/// An extension that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// For [`Keeper::extended`](super::Keeper::extended).
    pub id: KeptId,
    /// What is locked.
    pub key: Key,
    /// For whom.
    pub owner: Owner,
    /// For how long from now.
    pub ttl: Ttl,
}

/// What came of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// The lease ends then, dated from before the request.
    Until(Moment),
    /// The owner doesn't hold the lock.
    NotOwned,
    /// The store failed; the lease may have been extended or not.
    Failed,
}

/// What a [tick](super::Keeper::tick) finds.
#[derive(Debug, Default)]
pub struct Found {
    /// What is to be sent.
    pub extensions: Vec<Extension>,
    /// Whose leases are over.
    pub lost: Vec<Arc<Leash>>,
}

/// An extension that hasn't been answered.
#[derive(Debug)]
struct UnderWay {
    issued: Moment,
    span: Duration,
    /// The least of its span and those of all that may be performed after it: what has crossed it, nothing else. With a slow
    /// store there is always something under way.
    shortest: Duration,
}

/// A lease that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) serial: u64,
    pub(super) key: Key,
    pub(super) owner: Owner,
    pub(super) ttl: Duration,
    pub(super) leash: Arc<Leash>,
    /// When the leash ends.
    pub(super) until: Moment,
    pub(super) ends_at: Moment,
    /// To when the holder has extended it by hand.
    pub(super) wanted: Moment,
    under_way: Vec<UnderWay>,
    /// Until when extensions that have failed may still be performed, and for how long they last; each longer than the one
    /// before it.
    doubtful: Vec<(Moment, Duration)>,
    pub(super) due: Moment,
    /// Whether it may be extended a little before it is due, with others.
    pub(super) is_resting: bool,
    /// Why the last thing that should have extended it didn't.
    pub(super) trouble: Loss,
}

impl Kept {
    pub(super) fn new(
        serial: u64,
        (key, owner): (Key, Owner),
        ttl: Duration,
        ends_at: Moment,
        until: Moment,
        leash: Arc<Leash>,
    ) -> Self {
        Self {
            serial,
            key,
            owner,
            ttl,
            leash,
            until,
            ends_at,
            wanted: Moment::START,
            under_way: Vec::new(),
            doubtful: Vec::new(),
            due: Moment::NEVER,
            is_resting: true,
            trouble: Loss::Expired,
        }
    }

    /// The lease ends then, as far as is known.
    pub(super) fn believe(&mut self, end: Moment) {
        self.ends_at = end;
        self.leash.set_end(end);
    }

    /// An extension sets out. From now on the lease may be no longer than that: whoever extends by hand may want it shorter,
    /// and of two of them the longer may have been answered first, so that one by itself ends before what is believed. Tells
    /// whether it does.
    pub(super) fn sent(&mut self, now: Moment, span: Duration) -> bool {
        self.doubtful.retain(|(until, _)| *until >= now);
        let shortest = span.min(self.shortest());
        for other in &mut self.under_way {
            other.shortest = other.shortest.min(span);
        }
        self.under_way.push(UnderWay { issued: now, span, shortest });
        let is_shorter = now + span < self.ends_at;
        if is_shorter {
            self.believe(now + span);
        }
        is_shorter
    }

    /// An extension has been answered that was issued then. Returns to when the lease lasts at least, if it was extended:
    /// another one that was under way meanwhile may have been performed after it, answered or not.
    pub(super) fn answered(&mut self, now: Moment, issued: Moment, outcome: Extended) -> Option<Moment> {
        self.doubtful.retain(|(until, _)| *until >= now);
        // Which one of several that were issued at once, nobody knows: it is bound by what binds any of them, and the shortest is
        // reckoned with for longest.
        let same = || self.under_way.iter().enumerate().filter(|(_, other)| other.issued == issued);
        let least = same().map(|(_, other)| other.span).min();
        let place = same().max_by_key(|(_, other)| other.span).map(|(place, _)| place);
        let bound = same().map(|(_, other)| other.shortest).min();
        if let Some(place) = place {
            self.under_way.swap_remove(place);
        }
        let shortest = bound.unwrap_or_else(|| self.shortest());
        if let (Extended::Failed, Some(span)) = (outcome, least) {
            while self.doubtful.pop_if(|(_, before)| *before >= span).is_some() {}
            self.doubtful.push((now + self.ttl, span));
        }
        match outcome {
            Extended::Until(end) => Some(end.min(issued + shortest)),
            Extended::NotOwned | Extended::Failed => None,
        }
    }

    /// For how long it lasts at least, once what may still be performed has been.
    fn shortest(&self) -> Duration {
        let under_way = self.under_way.iter().map(|other| other.span);
        under_way.chain(self.doubtful.iter().map(|(_, span)| *span)).min().unwrap_or(Duration::MAX)
    }

    /// For how long it is known to last after an extension.
    pub(super) fn span(&self) -> Duration {
        self.ttl.min(self.shortest())
    }

    /// For how many milliseconds it is to be extended now. The leash is never exceeded; what the holder wanted is never
    /// cut short.
    pub(super) fn wanted_millis(&self, now: Moment) -> u64 {
        let by_itself = self.ttl.min(self.until.since(now)).as_millis();
        let by_hand = self.wanted.since(now).as_nanos().div_ceil(1_000_000);
        u64::try_from(by_itself.max(by_hand)).unwrap_or(u64::MAX)
    }
}

/// Whether an armed deadline still matters.
pub(super) fn is_live(kept: &Slab<Kept>, at: Moment, id: KeptId, resting: bool) -> bool {
    kept.get(id.index as usize)
        .is_some_and(|kept| kept.serial == id.serial && kept.due == at && kept.is_resting == resting)
}
