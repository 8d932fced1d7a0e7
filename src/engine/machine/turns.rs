//! Whose turn it is when a lease ends: when that is, and whether others go first.

use super::{Effects, Holder, Key, Machine, Moment, Owner, Phase, TURN, Ttl};

impl Machine {
    /// A true release begins that may end a run of hand-overs: until it is answered, nothing wakes the queue.
    pub(super) fn step_aside(&mut self, now: Moment, queue: u32) {
        let bound = self.hand_over_bound();
        let Some(line) = self.lobby.queue_mut(queue) else {
            return;
        };
        if line.run < bound {
            line.released_at = Some(now);
            return;
        }
        line.stands_back = true;
        if line.phase == Phase::Idle {
            self.schedule(queue, Moment::NEVER);
        }
    }

    /// The release came to nothing.
    pub(super) fn step_forward(&mut self, now: Moment, key: &Key, effects: &mut Effects) -> bool {
        let stood_back = self
            .lobby
            .queue_of(key.as_str())
            .and_then(|queue| self.lobby.queue_mut(queue))
            .is_some_and(|line| std::mem::take(&mut line.stands_back));
        if stood_back {
            self.hint(now, key.as_str(), false, effects);
        }
        stood_back
    }

    /// After a true release that ended a run of hand-overs: others first.
    fn stand_back(&mut self, now: Moment, queue: u32) {
        let Some(line) = self.lobby.queue_mut(queue) else {
            return;
        };
        line.run = 0;
        line.released_at = None;
        line.stands_back = true;
        if line.phase == Phase::Idle {
            self.schedule(queue, now + TURN);
        }
    }

    /// How many hand-overs in a row make others wait long enough; without hand-overs there are no runs.
    fn hand_over_bound(&self) -> u32 {
        self.capability.hand_over.map_or(u32::MAX, std::num::NonZeroU32::get)
    }

    /// Keeps in mind when a lease that was granted here ends at the latest, for stores that don't tell: it was made before
    /// the answer came.
    pub(super) fn note_end(&mut self, now: Moment, key: &Key, owner: &Owner, ttl: Ttl) {
        if self.capability.tells_expiry {
            return;
        }
        if self.known_ends.len() >= self.forget_known_above {
            self.known_ends.retain(|_, (_, end)| *end > now && *end != Moment::NEVER);
            self.forget_known_above = (self.known_ends.len() * 2).max(64);
        }
        let end = ttl.expiry_from(now).unwrap_or(Moment::NEVER);
        self.known_ends.insert(key.clone(), (owner.clone(), end));
        self.told_end(key.as_str(), end);
    }

    /// The present lease ends then. It may be earlier than those who wait were told; if it is later, they will be told when
    /// they ask.
    pub(super) fn told_end(&mut self, key: &str, end: Moment) {
        let Some(queue) = self.lobby.queue_of(key) else {
            return;
        };
        match self.lobby.queue_mut(queue) {
            Some(line) if line.phase == Phase::Asking && self.capability.polls => line.told_end = end,
            Some(line) if line.phase == Phase::Asking => line.recheck = true,
            Some(line) if end < line.next_try && !line.stands_back => self.schedule(queue, end),
            _ => {}
        }
    }

    /// The holder's lease is gone. The answer may have been overtaken: what is known of somebody else's lease stays.
    fn forget_end(&mut self, key: &Key, holder: &Holder) {
        if let Some((owner, _)) = self.known_ends.get(key)
            && matches!(holder, Holder::Owner(gone) if gone == owner)
        {
            self.known_ends.remove(key);
        }
    }

    /// A local lease is gone: the head's turn, unless this process has had enough turns in a row.
    /// `for_sure`: there was a lease.
    pub(super) fn freed(
        &mut self,
        now: Moment,
        key: &Key,
        holder: &Holder,
        for_sure: bool,
        effects: &mut Effects,
    ) {
        self.forget_end(key, holder);
        // If it no longer stands back, there has been a grant since, and this answer is an old one.
        if let Some(queue) = self.lobby.queue_of(key.as_str())
            && self.lobby.queue(queue).is_some_and(|line| line.stands_back && line.run > 0)
        {
            self.stand_back(now, queue);
            return;
        }
        self.hint(now, key.as_str(), for_sure, effects);
    }
}
