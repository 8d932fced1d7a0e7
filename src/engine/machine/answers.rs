//! What the machine does with the answers to its commands.

use super::super::op::dated;
use super::orphans::holder_of;
use super::{
    Attempt, Doubt, Duration, Effect, Effects, Error, ErrorKind, Holder, Lease, Machine, Moment, Op, OpId,
    Outcome, Phase, Release, Save,
};
use crate::error::Result;
use crate::lease::Key;

/// How often a release whose reply was lost is sent again before the error is passed on.
const RELEASE_TRIES: u8 = 3;

/// How long a release that failed is repeated in the background.
const LONGEST_CLEAN_UP: Duration = Duration::from_secs(3600);

impl Machine {
    /// Answer to [`Effect::Save`].
    pub fn saved(&mut self, now: Moment, op: OpId, reply: Result<Save>, effects: &mut Effects) {
        let Some(Op::Save { mut attempt, .. }) = self.ops.try_remove(op as usize) else {
            return;
        };
        match reply {
            Ok(Save::Acquired(lease)) => self.granted(now, &attempt, lease, effects),
            Ok(Save::Held { until }) if attempt.doubtful => {
                self.confirm(attempt, Doubt::Held(until), effects);
            }
            Ok(Save::Held { until }) => self.refused(now, &attempt, until, effects),
            Err(error) if error.kind() == ErrorKind::Uncertain => {
                attempt.doubtful = true;
                if let Some(waiter) = self.lobby.get_mut(attempt.waiter) {
                    waiter.doubtful = true;
                }
                self.confirm(attempt, Doubt::LostReply(error), effects);
            }
            Err(error) => self.failed(now, &attempt, error, effects),
        }
    }

    fn confirm(&mut self, attempt: Attempt, doubt: Doubt, effects: &mut Effects) {
        let Attempt { key, owner, fenced, .. } = attempt.clone();
        let op = super::to_index(self.ops.insert(Op::Save { attempt, doubt }));
        effects.push_back(Effect::Confirm { op, key, owner, fenced });
    }

    /// Answer to [`Effect::Confirm`]: the owner's lease if it holds the key.
    pub fn confirmed(&mut self, now: Moment, op: OpId, reply: Result<Option<Lease>>, effects: &mut Effects) {
        match self.ops.try_remove(op as usize) {
            Some(Op::Save { attempt, doubt }) => match (reply, doubt) {
                (Ok(Some(lease)), _) => self.granted(now, &attempt, lease, effects),
                (_, Doubt::Held(until)) => self.refused(now, &attempt, until, effects),
                // Another try would take just as long; and what has hung may still be performed.
                (Ok(None), Doubt::LostReply(error)) if error.is_out_of_time() => {
                    self.abandon(now, &attempt, error, effects);
                }
                (Ok(None), _) => self.asked_in_vain(now, attempt, effects),
                // Still nobody knows: the waiter hears of the first error, and what may have been saved is deleted.
                (Err(_), Doubt::LostReply(error)) | (Err(error), Doubt::None) => {
                    self.abandon(now, &attempt, error, effects);
                }
            },
            Some(Op::HandOver { attempt, from, release, .. }) => match reply {
                Ok(Some(lease)) => self.moved(now, &attempt, lease, release, effects),
                Ok(None) => {
                    // It never happened, or somebody else has the lock by now: release the ordinary way.
                    self.stop_asking(&attempt, effects);
                    match release {
                        Some(release) => self.delete_again(attempt.key, from, release, 1, effects),
                        None => self.forget(attempt.key, from, Moment::NEVER, effects),
                    }
                }
                Err(error) => {
                    self.abandon_hand_over(now, &attempt, from, release, error, effects);
                }
            },
            _ => {}
        }
    }

    /// Answer to [`Effect::HandOver`]: the new owner's lease, or `None` if the old one didn't hold the lock.
    pub fn handed_over(
        &mut self,
        now: Moment,
        op: OpId,
        reply: Result<Option<Lease>>,
        effects: &mut Effects,
    ) {
        let Some(Op::HandOver { attempt, from, release, .. }) = self.ops.try_remove(op as usize) else {
            return;
        };
        match reply {
            Ok(Some(lease)) => self.moved(now, &attempt, lease, release, effects),
            Ok(None) => {
                answer_release(release, Outcome::NotOwned, effects);
                self.asked_in_vain(now, attempt, effects);
            }
            Err(error) if error.kind() == ErrorKind::Uncertain => {
                let Attempt { key, owner, fenced, .. } = attempt.clone();
                let op = super::to_index(self.ops.insert(Op::HandOver { attempt, from, release }));
                effects.push_back(Effect::Confirm { op, key, owner, fenced });
            }
            // What has failed may be what the next in line wants besides the lock: the holder releases the ordinary way. (Where
            // nothing polls, the next in line has to ask now: see below.)
            Err(error) if release.is_some() && self.capability.polls && !error.is_out_of_time() => {
                self.stop_asking(&attempt, effects);
                if let Some(release) = release {
                    self.delete_again(attempt.key, from, release, 0, effects);
                }
            }
            Err(error) => {
                answer_release(release, Outcome::Failed(error), effects);
                if release.is_none() {
                    self.forget(attempt.key.clone(), from, Moment::NEVER, effects);
                }
                if self.capability.polls {
                    self.refused(now, &Attempt { counts: false, ..attempt }, None, effects);
                } else {
                    // Nothing else would bring the queue to life when the lease ends.
                    self.asked_in_vain(now, attempt, effects);
                }
            }
        }
    }

    /// Answer to [`Effect::Delete`]: whether the holder held the lock.
    pub fn deleted(&mut self, now: Moment, op: OpId, reply: Result<bool>, effects: &mut Effects) {
        match self.ops.get(op as usize) {
            Some(Op::Forget { .. }) => match reply {
                Ok(was_there) => {
                    let Some(Op::Forget { key, holder, .. }) = self.ops.try_remove(op as usize) else {
                        return;
                    };
                    // Even where there was nothing to delete, the queue may wait for this answer.
                    self.freed(now, &key, &holder, was_there, effects);
                }
                Err(_) => self.forget_later(now, op, effects),
            },
            Some(Op::Delete { .. }) => {
                let Some(Op::Delete { key, holder, release, tries }) = self.ops.try_remove(op as usize)
                else {
                    return;
                };
                match reply {
                    Ok(true) => self.released(now, &key, &holder, release, effects),
                    // The reply to an earlier try was lost, so that try may be why the lock is gone.
                    Ok(false) if tries > 0 && release.was_live => {
                        self.released(now, &key, &holder, release, effects);
                    }
                    Ok(false) => {
                        answer_release(Some(release), Outcome::NotOwned, effects);
                        // Where nothing polls, the line may wait for nothing but this answer.
                        if !self.step_forward(now, &key, effects) && !self.capability.polls {
                            self.hint(now, key.as_str(), false, effects);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Uncertain && tries < RELEASE_TRIES => {
                        self.delete_again(key, holder, release, tries + 1, effects);
                    }
                    Err(error) => self.release_failed(now, &key, holder, release, error, effects),
                }
            }
            _ => {}
        }
    }

    /// No answer to any command, and no time left to find out what has become of it: whoever waits for the answer hears
    /// of it now, and what may have been saved is cleaned up in the background.
    pub fn timed_out(&mut self, now: Moment, op: OpId, error: Error, effects: &mut Effects) {
        if matches!(self.ops.get(op as usize), Some(Op::Forget { .. })) {
            self.forget_later(now, op, effects);
            return;
        }
        match self.ops.try_remove(op as usize) {
            Some(Op::Save { attempt, .. }) => self.abandon(now, &attempt, error, effects),
            Some(Op::HandOver { attempt, from, release, .. }) => {
                self.abandon_hand_over(now, &attempt, from, release, error, effects);
            }
            Some(Op::Delete { key, holder, release, .. }) => {
                self.release_failed(now, &key, holder, release, error, effects);
            }
            _ => {}
        }
    }

    fn granted(&mut self, now: Moment, attempt: &Attempt, lease: Lease, effects: &mut Effects) {
        let lease = dated(lease, attempt.issued, attempt.ttl);
        self.finish_asking(attempt);
        self.note_end(now, &attempt.key, &attempt.owner, attempt.ttl);
        if let Some(line) = attempt.queue.and_then(|queue| self.lobby.queue_mut(queue)) {
            line.run = if line.released_at.take().is_some() { line.run.saturating_add(1) } else { 0 };
            line.stands_back = false;
            line.told_end = Moment::NEVER;
        }
        self.take(now, attempt, lease, effects);
    }

    /// A hand-over went through.
    fn moved(
        &mut self,
        now: Moment,
        attempt: &Attempt,
        lease: Lease,
        release: Option<Release>,
        effects: &mut Effects,
    ) {
        let lease = dated(lease, attempt.issued, attempt.ttl);
        answer_release(release, Outcome::Released, effects);
        self.finish_asking(attempt);
        self.note_end(now, &attempt.key, &attempt.owner, attempt.ttl);
        if let Some(line) = attempt.queue.and_then(|queue| self.lobby.queue_mut(queue)) {
            line.run = line.run.saturating_add(1);
            line.stands_back = false;
            line.told_end = Moment::NEVER;
        }
        // Should it have expired by now: a hand-over is none of the waiter's own chances.
        self.take(now, &Attempt { counts: false, ..attempt.clone() }, lease, effects);
    }

    /// The waiter takes the lease, or it is passed on if the waiter has left.
    fn take(&mut self, now: Moment, attempt: &Attempt, lease: Lease, effects: &mut Effects) {
        if lease.expires_at.is_some_and(|end| end <= now) {
            // The answer took longer than the lease lasts: to hand it out would be to say that the lock is held. By the
            // store's clock it may not be over yet, so the next refusal may be due to it.
            if let Some(waiter) = self.lobby.get_mut(attempt.waiter) {
                waiter.doubtful = true;
            }
            self.refused(now, &Attempt { doubtful: true, ..attempt.clone() }, Some(now), effects);
            return;
        }
        if self.settle(now, attempt.waiter, Outcome::Acquired(lease), effects) {
            if let Some(queue) = attempt.queue {
                // Where the store tells no end, the latest possible one counts.
                let until = lease.expires_at.filter(|_| self.capability.tells_expiry);
                self.await_turn(now, queue, until, effects);
            }
        } else {
            self.pass_on(now, &attempt.key, holder_of(attempt, lease), attempt.ttl, effects);
            if let Some(queue) = attempt.queue {
                self.close_queue(queue, effects);
            }
        }
    }

    fn refused(&mut self, now: Moment, attempt: &Attempt, until: Option<Moment>, effects: &mut Effects) {
        self.finish_asking(attempt);
        if attempt.doubtful && (attempt.queue.is_none() || self.lobby.get(attempt.waiter).is_none()) {
            let Attempt { key, owner, ttl, .. } = attempt.clone();
            self.forget_doubtful(now, key, owner, ttl, effects);
        }
        let Some(queue) = attempt.queue else {
            self.settle(now, attempt.waiter, Outcome::Refused, effects);
            return;
        };
        if let Some(line) = self.lobby.queue_mut(queue) {
            line.released_at = line.released_at.filter(|released| *released >= attempt.issued);
        }
        if attempt.counts
            && let Some(waiter) = self.lobby.get_mut(attempt.waiter)
            && waiter.use_chance(now)
        {
            self.settle(now, attempt.waiter, Outcome::Refused, effects);
        }
        if self.lobby.queue(queue).is_some() {
            self.await_turn(now, queue, until, effects);
        }
    }

    /// The lock turned out to be nobody's, as far as one can tell: ask again at once, at no cost in chances.
    fn asked_in_vain(&mut self, now: Moment, attempt: Attempt, effects: &mut Effects) {
        self.finish_asking(&attempt);
        match attempt.queue {
            Some(queue) => self.ask(now, queue, false, effects),
            None if self.lobby.get(attempt.waiter).is_some() => {
                self.send_save(Attempt { issued: now, ..attempt }, effects);
            }
            None if attempt.doubtful => {
                let Attempt { key, owner, ttl, .. } = attempt;
                self.forget_doubtful(now, key, owner, ttl, effects);
            }
            None => {}
        }
    }

    /// The store failed; nothing was saved. The next in line asks for itself, unless the store can't be reached: then it
    /// would only wait as long in vain, and those behind it longer still.
    fn failed(&mut self, now: Moment, attempt: &Attempt, error: Error, effects: &mut Effects) {
        self.finish_asking(attempt);
        if error.is_out_of_time() {
            while let Some(head) = attempt.queue.and_then(|queue| self.lobby.head(queue)) {
                self.settle(now, head, Outcome::Failed(error.clone()), effects);
            }
        }
        self.settle(now, attempt.waiter, Outcome::Failed(error), effects);
        if let Some(queue) = attempt.queue.filter(|queue| self.lobby.queue(*queue).is_some()) {
            self.ask(now, queue, true, effects);
        }
    }

    /// The store failed; something may have been saved.
    fn abandon(&mut self, now: Moment, attempt: &Attempt, error: Error, effects: &mut Effects) {
        if let Some(waiter) = self.lobby.get_mut(attempt.waiter) {
            waiter.doubtful = false; // what it leaves behind is seen to here
        }
        let Attempt { key, owner, ttl, .. } = attempt.clone();
        self.forget_doubtful(now, key, owner, ttl, effects);
        self.failed(now, attempt, error, effects);
    }

    /// Nobody knows who holds the lock now. The releaser, if there is one, hears of it and may try again; nobody else would
    /// delete its lease.
    fn abandon_hand_over(
        &mut self,
        now: Moment,
        attempt: &Attempt,
        from: Holder,
        release: Option<Release>,
        error: Error,
        effects: &mut Effects,
    ) {
        match release {
            Some(_) => answer_release(release, Outcome::Failed(error.clone()), effects),
            None => self.forget(attempt.key.clone(), from, Moment::NEVER, effects),
        }
        self.abandon(now, attempt, error, effects);
    }

    fn released(&mut self, now: Moment, key: &Key, holder: &Holder, release: Release, effects: &mut Effects) {
        answer_release(Some(release), Outcome::Released, effects);
        self.freed(now, key, holder, true, effects);
    }

    /// The lock may be free or not: whoever waits for it asks. If the store couldn't be reached, the deletion is repeated in
    /// the background, for whoever releases doesn't want the lease any longer, and may have no way to try again.
    fn release_failed(
        &mut self,
        now: Moment,
        key: &Key,
        holder: Holder,
        release: Release,
        error: Error,
        effects: &mut Effects,
    ) {
        if error.is_out_of_time() || error.kind() == ErrorKind::Uncertain {
            self.forget(key.clone(), holder, now + LONGEST_CLEAN_UP, effects);
        }
        answer_release(Some(release), Outcome::Failed(error), effects);
        if !self.step_forward(now, key, effects) {
            self.woken(now, key.as_str(), effects);
        }
    }

    fn delete_again(&mut self, key: Key, holder: Holder, release: Release, tries: u8, effects: &mut Effects) {
        let op = self.ops.insert(Op::Delete { key: key.clone(), holder: holder.clone(), release, tries });
        effects.push_back(Effect::Delete { op: super::to_index(op), key, holder });
    }

    fn finish_asking(&mut self, attempt: &Attempt) {
        if let Some(line) = attempt.queue.and_then(|queue| self.lobby.queue_mut(queue)) {
            line.phase = Phase::Idle;
        }
    }

    /// The lock is about to be deleted, which wakes whoever stands in line. If it was gone already nothing does, so the head
    /// asks again after a delay; and should nobody be left in line, there is no line any longer.
    fn stop_asking(&mut self, attempt: &Attempt, effects: &mut Effects) {
        self.finish_asking(attempt);
        let Some(queue) = attempt.queue else {
            return;
        };
        match self.lobby.shortest_delay(queue) {
            Some(delay) => self.schedule(queue, attempt.issued + delay),
            None => self.close_queue(queue, effects),
        }
    }
}

/// Not every hand-over comes from somebody who waits for an answer.
fn answer_release(release: Option<Release>, outcome: Outcome, effects: &mut Effects) {
    if let Some(Release { ticket, .. }) = release {
        effects.push_back(Effect::Settle { ticket, outcome, since: Moment::START });
    }
}
