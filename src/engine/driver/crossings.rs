//! Extensions of one lease that are under way at the same time. Which of them the store performs last, nobody knows, nor
//! whether it answers them in that order: so no more is believed than what any of them may have left.

use std::collections::HashMap;

use crate::clock::Moment;
use crate::lease::{Key, Lease, Owner, Ttl};

/// Those under way, by lease.
#[derive(Default)]
pub(super) struct Crossings {
    under_way: HashMap<(Key, Owner), Vec<Crossing>, foldhash::fast::RandomState>,
    last: u64,
}

struct Crossing {
    number: u64,
    ends_at: Moment,
    /// The least of its end and those of what it has crossed.
    sure: Moment,
}

impl Crossings {
    /// An extension sets out. Returns its number.
    pub(super) fn begin(&mut self, now: Moment, key: &Key, owner: &Owner, ttl: Ttl) -> u64 {
        self.last += 1;
        let ends_at = ttl.expiry_from(now).unwrap_or(Moment::NEVER);
        let mut crossing = Crossing { number: self.last, ends_at, sure: ends_at };
        let others = self.under_way.entry((key.clone(), owner.clone())).or_default();
        for other in &mut *others {
            other.sure = other.sure.min(ends_at);
            crossing.sure = crossing.sure.min(other.ends_at);
        }
        others.push(crossing);
        self.last
    }

    /// One has come back, however it has ended. Returns until when the lease lasts for sure if it was extended.
    pub(super) fn end(&mut self, key: &Key, owner: &Owner, number: u64) -> Moment {
        let lease = (key.clone(), owner.clone());
        let mut sure = Moment::NEVER;
        if let Some(others) = self.under_way.get_mut(&lease) {
            if let Some(place) = others.iter().position(|crossing| crossing.number == number) {
                sure = others.swap_remove(place).sure;
            }
            if others.is_empty() {
                self.under_way.remove(&lease);
            }
        }
        sure
    }
}

/// The lease, believed until then at most.
pub(super) fn bounded(lease: Lease, sure: Moment) -> Lease {
    let expires_at = match lease.expires_at {
        Some(end) => Some(end.min(sure)),
        None => (sure < Moment::NEVER).then_some(sure),
    };
    Lease { expires_at, ..lease }
}
