//! Extends leases while their holders work: a state machine without I/O.
//!
//! # Algorithm
//! A lease is due for an extension when a third of its TTL is over. Whatever is due within the next twelfth of a TTL goes
//! with it, so leases that began at different times soon travel together, and thousands cost batches. An extension is dated
//! from before its request. One that fails, or isn't answered, is repeated every twelfth of the TTL while the lease lasts:
//! extending twice does no harm. It is lost when its end comes, or when the store says that its owner doesn't hold it.
//!
//! # Extended by hand
//! The holder may extend its lease by hand too, to whatever end, and the store may perform that before or after an extension
//! that is under way, or that has failed and still comes late (for a TTL, that is reckoned with). So of an extension no more
//! is believed than what the shortest would leave that has been under way together with it, and the lease is extended in
//! step with that. Once there is none, it is extended to what the holder wanted.
//!
//! # The leash
//! A lease is extended to [`Leash::max`] after its grant at most. While the holder's thread hasn't turned to anything new for
//! [`Leash::stall`] it isn't extended; if the thread is back before the lease ends, it goes on.
//!
//! # Complexity
//! An extension costs O(log n) amortised for its deadline; a lease that is released, or a key that is freed by force, one
//! hash look-up.
//!
//! # Contract with the shell
//! The shell sends each extension that [`tick`](Keeper::tick) wants, and answers with [`extended`](Keeper::extended); no
//! answer is an answer that never comes. It calls `tick` when [`next_deadline`](Keeper::next_deadline) has come, and tells
//! holders of what `tick` and `extended` return as lost.

use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use super::leash::{Leash, Loss};
use crate::clock::Moment;
use crate::deadline::Deadlines;
use crate::lease::{Key, KeyMap, Owner, Ttl};

mod kept;

pub use kept::{Extended, Extension, Found, KeptId};
use kept::{Kept, is_live};

/// An extension isn't repeated sooner, nor asked for less.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Keeper {
    kept: Slab<Kept>,
    by_key: KeyMap<Vec<usize>>,
    /// Leases that are to be extended.
    resting: Deadlines<KeptId>,
    /// Leases with an extension under way, or without one: when to look after them.
    alarms: Deadlines<KeptId>,
    next_serial: u64,
}

impl Keeper {
    /// Event: a lease has been granted that is to be kept. One without TTL needs no keeping.
    pub fn keep(
        &mut self,
        now: Moment,
        key: &Key,
        owner: &Owner,
        ttl: Ttl,
        ends_at: Option<Moment>,
        leash: Arc<Leash>,
    ) {
        let (Some(ttl), Some(ends_at)) = (ttl.span(), ends_at) else {
            leash.set_end(Moment::NEVER);
            return;
        };
        leash.set_end(ends_at);
        let until = leash.max.map_or(Moment::NEVER, |max| now + max);
        // An owner that is used again, which nobody should do, has the lease of its last acquisition.
        self.drop_lease(key, owner);
        self.next_serial += 1;
        let kept = Kept::new(self.next_serial, (key.clone(), owner.clone()), ttl, ends_at, until, leash);
        let index = self.kept.insert(kept);
        self.by_key.entry(key.clone()).or_default().push(index);
        self.rest(index);
    }

    /// Event: the holder has gone. It is told of nothing from now on.
    pub fn drop_lease(&mut self, key: &Key, owner: &Owner) {
        if let Some(index) = self.find(key, owner) {
            self.remove(index);
        }
    }

    /// Event: somebody releases in the holder's name, who needn't be the holder itself. Returns the leash of a lease that
    /// isn't kept any longer.
    pub fn released(&mut self, key: &Key, owner: &Owner) -> Option<Arc<Leash>> {
        let index = self.find(key, owner)?;
        let leash = Arc::clone(&self.kept.get(index)?.leash);
        leash.lose(Loss::NotOwned);
        self.remove(index);
        Some(leash)
    }

    /// Event: a tenant goes, and nothing of its is extended any longer.
    pub fn evict(&mut self, tenant: u32) {
        let gone: Vec<_> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.leash.ticket.tenant == tenant)
            .map(|(index, _)| index)
            .collect();
        for index in gone {
            self.remove(index);
        }
    }

    /// Event: the key has been freed by force. Whether its holder has lost it is asked at once.
    pub fn suspect(&mut self, now: Moment, key: &Key) {
        for index in self.by_key.get(key).cloned().unwrap_or_default() {
            self.schedule(index, now, false);
        }
    }

    /// Event: the holder asks for an extension by hand. From now on the lease may be no longer than that.
    pub fn extending_by_hand(&mut self, now: Moment, key: &Key, owner: &Owner, ttl: Ttl) {
        let Some(index) = self.find(key, owner) else { return };
        let Some(kept) = self.kept.get_mut(index) else { return };
        let span = ttl.span().unwrap_or(Duration::MAX);
        if kept.sent(now, span) {
            kept.trouble = Loss::Expired;
            self.rest(index);
        }
    }

    /// Answer to an extension by hand that was issued then.
    pub fn extended_by_hand(
        &mut self,
        now: Moment,
        key: &Key,
        owner: &Owner,
        issued: Moment,
        outcome: Extended,
    ) {
        let Some(index) = self.find(key, owner) else { return };
        let Some(kept) = self.kept.get_mut(index) else { return };
        let sure = kept.answered(now, issued, outcome);
        if let (Extended::Until(wanted), Some(sure)) = (outcome, sure) {
            kept.wanted = wanted;
            let end = sure.max(kept.ends_at);
            self.set_end(index, end);
            if wanted <= end {
                return;
            }
        }
        self.schedule(index, now, false);
    }

    /// Event: time has passed. `last_turn` tells when a tenant's thread has turned to something new for the last time;
    /// `None` for one that isn't watched.
    pub fn tick(&mut self, now: Moment, last_turn: impl Fn(u32) -> Option<Moment>) -> Found {
        let mut found = Found::default();
        let mut due = Vec::new();
        while let Some(id) = self.pop_due(now, false) {
            due.push(id.index as usize);
        }
        let mut horizon = now;
        while let Some(id) = self.pop_due(horizon, true) {
            let index = id.index as usize;
            horizon = horizon.max(now + self.kept.get(index).map_or(Duration::ZERO, |kept| kept.ttl / 12));
            due.push(index);
        }
        for index in due {
            self.look_after(now, index, &last_turn, &mut found);
        }
        found
    }

    fn look_after(
        &mut self,
        now: Moment,
        index: usize,
        last_turn: &impl Fn(u32) -> Option<Moment>,
        found: &mut Found,
    ) {
        let Some(kept) = self.kept.get_mut(index) else { return };
        if kept.ends_at <= now {
            kept.leash.lose(kept.trouble);
            found.lost.push(Arc::clone(&kept.leash));
            self.remove(index);
            return;
        }
        if kept.until.max(kept.wanted) <= kept.ends_at + SHORTEST_PAUSE {
            kept.trouble = Loss::Max;
            let end = kept.ends_at;
            self.schedule(index, end, false);
            return;
        }
        let is_stalled = kept.leash.stall.is_some_and(|stall| {
            last_turn(kept.leash.ticket.tenant).is_some_and(|turn| now.since(turn) > stall)
        });
        kept.trouble = if is_stalled { Loss::Stalled } else { Loss::Unreachable };
        let millis = kept.wanted_millis(now);
        if !is_stalled && let Ok(ttl) = Ttl::from_millis(millis) {
            kept.sent(now, Duration::from_millis(millis));
            let (key, owner) = (kept.key.clone(), kept.owner.clone());
            let id = KeptId { index: u32::try_from(index).unwrap_or(u32::MAX), serial: kept.serial };
            found.extensions.push(Extension { id, key, owner, ttl });
        }
        let again = kept.ends_at.min(now + (kept.ttl / 12).max(SHORTEST_PAUSE));
        self.schedule(index, again, false);
    }

    /// Answer to an [`Extension`] that was issued then. Returns the leash of a lease that is lost.
    pub fn extended(
        &mut self,
        now: Moment,
        id: KeptId,
        issued: Moment,
        outcome: Extended,
    ) -> Option<Arc<Leash>> {
        let index = id.index as usize;
        let kept = self.kept.get_mut(index).filter(|kept| kept.serial == id.serial)?;
        let sure = kept.answered(now, issued, outcome);
        if outcome == Extended::NotOwned {
            let leash = Arc::clone(&kept.leash);
            leash.lose(Loss::NotOwned);
            self.remove(index);
            return Some(leash);
        }
        match sure {
            // Answers may overtake each other, and the holder may have extended it further by hand.
            Some(end) if end > kept.ends_at => self.set_end(index, end),
            Some(_) => self.rest(index),
            None => {}
        }
        None
    }

    /// When [`tick`](Self::tick) is wanted next.
    pub fn next_deadline(&mut self) -> Option<Moment> {
        let kept = &self.kept;
        let resting = self.resting.next(|at, id| is_live(kept, at, id, true));
        let alarm = self.alarms.next(|at, id| is_live(kept, at, id, false));
        [resting, alarm].into_iter().flatten().min()
    }

    /// Whether the lease is still kept.
    #[must_use]
    pub fn is_kept(&self, id: KeptId) -> bool {
        self.kept.get(id.index as usize).is_some_and(|kept| kept.serial == id.serial)
    }

    /// How many leases are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn find(&self, key: &Key, owner: &Owner) -> Option<usize> {
        let same_key = self.by_key.get(key)?;
        same_key.iter().copied().find(|&index| self.kept.get(index).is_some_and(|kept| kept.owner == *owner))
    }

    fn pop_due(&mut self, now: Moment, resting: bool) -> Option<KeptId> {
        let kept = &self.kept;
        let deadlines = if resting { &mut self.resting } else { &mut self.alarms };
        let id = deadlines.pop_due(now, |at, id| is_live(kept, at, id, resting))?;
        if let Some(kept) = self.kept.get_mut(id.index as usize) {
            kept.due = Moment::NEVER;
        }
        Some(id)
    }

    fn set_end(&mut self, index: usize, end: Moment) {
        if let Some(kept) = self.kept.get_mut(index) {
            kept.believe(end);
            kept.trouble = Loss::Expired;
        }
        self.rest(index);
    }

    /// Nothing to do until a third of the TTL is over.
    fn rest(&mut self, index: usize) {
        if let Some(kept) = self.kept.get(index) {
            let due = kept.ends_at.since(Moment::START).saturating_sub(kept.span() * 2 / 3);
            self.schedule(index, Moment::START + due, true);
        }
    }

    fn schedule(&mut self, index: usize, at: Moment, resting: bool) {
        let Some(kept) = self.kept.get_mut(index) else { return };
        if kept.due == at && kept.is_resting == resting {
            return;
        }
        let before = (std::mem::replace(&mut kept.due, at), std::mem::replace(&mut kept.is_resting, resting));
        let id = KeptId { index: u32::try_from(index).unwrap_or(u32::MAX), serial: kept.serial };
        self.retire(before);
        let deadlines = if resting { &mut self.resting } else { &mut self.alarms };
        deadlines.arm(at, id);
    }

    fn remove(&mut self, index: usize) {
        let Some(kept) = self.kept.try_remove(index) else { return };
        if let Some(same_key) = self.by_key.get_mut(&kept.key) {
            same_key.retain(|&other| other != index);
            if same_key.is_empty() {
                self.by_key.remove(&kept.key);
            }
        }
        self.retire((kept.due, kept.is_resting));
    }

    fn retire(&mut self, (due, resting): (Moment, bool)) {
        if due == Moment::NEVER {
            return;
        }
        let kept = &self.kept;
        let deadlines = if resting { &mut self.resting } else { &mut self.alarms };
        deadlines.retire(|at, id| is_live(kept, at, id, resting));
    }
}
