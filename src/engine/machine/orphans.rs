//! Leases that nobody wants, or that may exist without anybody knowing: passed on, or deleted until that is certain.

use std::collections::HashSet;

use super::{
    Attempt, Due, Duration, Effect, Effects, Holder, Key, Lease, Machine, Moment, Op, OpId, Owner, Ttl,
    to_index,
};

/// The first pause before an orphaned lease is deleted once more; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Leases that were nobody's, or about to be, at one moment: see [`Machine::leftovers`].
#[derive(Debug)]
pub struct Leftovers(HashSet<(Key, Holder)>);

impl Machine {
    /// What is being given back at this moment, or may come to somebody who has left. Not what could not be given back at
    /// the first try: that may take long.
    #[must_use]
    pub fn leftovers(&self) -> Leftovers {
        Leftovers(self.ops.iter().flat_map(|(_, op)| self.left_by(op)).flatten().collect())
    }

    /// Whether all of it is settled: freed, passed on, known not to exist, or not to be freed at the first try. As long as
    /// it isn't, that shows soon, so one may ask after each answer.
    #[must_use]
    pub fn are_settled(&self, leftovers: &Leftovers) -> bool {
        let mut left = self.ops.iter().flat_map(|(_, op)| self.left_by(op)).flatten();
        !left.any(|left| leftovers.0.contains(&left))
    }

    /// What a command under way frees or may leave behind: for a hand-over that may be two leases.
    fn left_by(&self, op: &Op) -> [Option<(Key, Holder)>; 2] {
        let unwanted = |attempt: &Attempt| {
            let is_wanted = self.lobby.get(attempt.waiter).is_some();
            (!is_wanted).then(|| (attempt.key.clone(), Holder::Owner(attempt.owner.clone())))
        };
        match op {
            Op::Save { attempt, .. } => [unwanted(attempt), None],
            Op::HandOver { attempt, from, .. } => {
                [unwanted(attempt), Some((attempt.key.clone(), from.clone()))]
            }
            Op::Delete { key, holder, .. } | Op::Forget { key, holder, tries: 0, .. } => {
                [Some((key.clone(), holder.clone())), None]
            }
            Op::Forget { .. } => [None, None],
        }
    }

    /// Whether a lease of that owner is being cleaned up in the background, or may have to be: then nothing may be acquired
    /// for it again, for the clean-up would take it away.
    #[must_use]
    pub fn is_forgetting(&self, key: &Key, owner: &Owner) -> bool {
        self.ops.iter().any(|(_, op)| match op {
            Op::Forget { key: known, holder: Holder::Owner(holder), .. } => known == key && holder == owner,
            Op::Save { attempt, .. } | Op::HandOver { attempt, .. } => {
                attempt.key == *key && attempt.owner == *owner
            }
            _ => false,
        })
    }

    /// Gives a lease that nobody took to the next waiter, or deletes it.
    pub(super) fn pass_on(
        &mut self,
        now: Moment,
        key: &Key,
        holder: Holder,
        ttl: Ttl,
        effects: &mut Effects,
    ) {
        if let Some(queue) = self.lobby.queue_of(key.as_str())
            && self.may_hand_over(queue)
        {
            self.hand_over(now, queue, holder, None, effects);
            return;
        }
        // It was made before now, so then it is over by the store's clock too.
        self.forget(key.clone(), holder, ttl.expiry_from(now).unwrap_or(Moment::NEVER), effects);
    }

    /// Deletes a lease that nobody wants, or that may exist without anybody knowing.
    pub(super) fn forget(&mut self, key: Key, holder: Holder, until: Moment, effects: &mut Effects) {
        let stamp = self.lobby.new_stamp();
        let op = Op::Forget { key: key.clone(), holder: holder.clone(), until, tries: 0, stamp };
        let op = to_index(self.ops.insert(op));
        effects.push_back(Effect::Delete { op, key, holder });
    }

    /// A save for the owner may have gone through without anybody knowing.
    pub(super) fn forget_doubtful(
        &mut self,
        now: Moment,
        key: Key,
        owner: Owner,
        ttl: Ttl,
        effects: &mut Effects,
    ) {
        let until = ttl.expiry_from(now).unwrap_or(Moment::NEVER);
        self.forget(key, Holder::Owner(owner), until, effects);
    }

    pub(super) fn forget_later(&mut self, now: Moment, op: OpId, effects: &mut Effects) {
        let fresh = self.lobby.new_stamp();
        let Some(Op::Forget { key, until, tries, stamp, .. }) = self.ops.get_mut(op as usize) else {
            return;
        };
        if now >= *until {
            // Nothing is left to delete; the queue may have been refused because of it.
            let key = key.clone();
            self.ops.try_remove(op as usize);
            self.woken(now, key.as_str(), effects);
            return;
        }
        *stamp = fresh;
        let pause =
            FIRST_PAUSE.checked_mul(1 << (*tries).min(16)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        *tries = tries.saturating_add(1);
        self.deadlines.arm(now + pause, Due::Forget { op, stamp: fresh });
    }

    pub(super) fn forget_again(&mut self, op: OpId, effects: &mut Effects) {
        let fresh = self.lobby.new_stamp();
        if let Some(Op::Forget { key, holder, stamp, .. }) = self.ops.get_mut(op as usize) {
            *stamp = fresh;
            effects.push_back(Effect::Delete { op, key: key.clone(), holder: holder.clone() });
        }
    }
}

/// The claim under which an attempt's lease can be passed on or deleted.
pub(super) fn holder_of(attempt: &Attempt, lease: Lease) -> Holder {
    if attempt.owner.name().is_some() {
        Holder::Owner(attempt.owner.clone())
    } else {
        Holder::Lease(lease.id)
    }
}
