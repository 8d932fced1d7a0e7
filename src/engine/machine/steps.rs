//! The steps that events and answers are made of: joining, asking, handing over, leaving.

use super::{
    Attempt, Doubt, Due, Duration, Effect, Effects, Holder, Key, Lease, Machine, Moment, Op, OpId, Outcome, Owner, Phase,
    Request, TURN, Ticket, Ttl, WaiterId, matters, to_index,
};

/// The first pause before an orphaned lease is deleted once more; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Machine {
    pub(super) fn attempt_once(&mut self, now: Moment, request: Request, effects: &mut Effects) -> WaiterId {
        let Request {
            ticket,
            key,
            owner,
            ttl,
            retry,
        } = request;
        let waiter = self.lobby.add(now, ticket, owner.clone(), ttl, &retry);
        self.arm_due(waiter);
        let attempt = Attempt {
            waiter,
            queue: None,
            key,
            owner,
            ttl,
            ticket,
            issued: now,
            counts: true,
            doubtful: false,
        };
        self.send_save(attempt, effects);
        waiter
    }

    /// Puts a request at the end of its queue; tells which and whether it was made for it.
    pub(super) fn enqueue(&mut self, now: Moment, request: Request) -> (WaiterId, u32, bool) {
        let Request {
            ticket,
            key,
            owner,
            ttl,
            retry,
        } = request;
        let id = self.lobby.add(now, ticket, owner, ttl, &retry);
        let (queue, is_new) = self.lobby.join(id, &key);
        let polls = self.capability.polls;
        if let (Some(waiter), Some(attempts)) = (self.lobby.get_mut(id), retry.attempts) {
            if polls && is_new {
                waiter.chances = attempts.get();
            } else {
                waiter.due_at = waiter.timeout_at.min(retry.last_chance_at(now));
            }
        }
        self.arm_due(id);
        (id, queue, is_new)
    }

    /// Asks the store for the head of the queue. `counts`: the head uses up one of its chances, whenever it was due.
    pub(super) fn ask(&mut self, now: Moment, queue: u32, counts: bool, effects: &mut Effects) {
        let Some(waiter) = self.lobby.head(queue) else {
            self.close_queue(queue, effects);
            return;
        };
        let Some(attempt) = self.attempt_for(now, queue, waiter, counts) else {
            return;
        };
        self.send_save(attempt, effects);
    }

    pub(super) fn may_hand_over(&self, queue: u32) -> bool {
        let bound = self.capability.hand_over.map_or(0, std::num::NonZeroU32::get);
        self.lobby
            .queue(queue)
            .is_some_and(|line| line.phase == Phase::Idle && line.run < bound)
            && self.lobby.head(queue).is_some()
    }

    /// Passes a lease from its holder to the head of the queue.
    pub(super) fn hand_over(
        &mut self,
        now: Moment,
        queue: u32,
        from: Holder,
        release: Option<Ticket>,
        effects: &mut Effects,
    ) {
        let Some(waiter) = self.lobby.head(queue) else {
            return;
        };
        let Some(attempt) = self.attempt_for(now, queue, waiter, true) else {
            return;
        };
        let (ticket, key, to, ttl) = (
            attempt.ticket,
            attempt.key.clone(),
            attempt.owner.clone(),
            attempt.ttl,
        );
        let op = self.ops.insert(Op::HandOver {
            attempt,
            from: from.clone(),
            release,
        });
        effects.push_back(Effect::HandOver {
            op: to_index(op),
            ticket,
            key,
            from,
            to,
            ttl,
        });
    }

    /// Gives a lease that nobody took to the next waiter, or deletes it.
    pub(super) fn pass_on(&mut self, now: Moment, key: &Key, holder: Holder, ttl: Ttl, effects: &mut Effects) {
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
        let op = Op::Forget {
            key: key.clone(),
            holder: holder.clone(),
            until,
            tries: 0,
            stamp,
        };
        let op = to_index(self.ops.insert(op));
        effects.push_back(Effect::Delete { op, key, holder });
    }

    /// A save for the owner may have gone through without anybody knowing.
    pub(super) fn forget_doubtful(&mut self, now: Moment, key: Key, owner: Owner, ttl: Ttl, effects: &mut Effects) {
        let until = ttl.expiry_from(now).unwrap_or(Moment::NEVER);
        self.forget(key, Holder::Owner(owner), until, effects);
    }

    pub(super) fn forget_later(&mut self, now: Moment, op: OpId, effects: &mut Effects) {
        let fresh = self.lobby.new_stamp();
        let Some(Op::Forget { key, until, tries, stamp, .. }) = self.ops.get_mut(op as usize) else { return };
        if now >= *until {
            // Nothing is left to delete; the queue may have been refused because of it.
            let key = key.clone();
            self.ops.try_remove(op as usize);
            self.woken(now, key.as_str(), effects);
            return;
        }
        *stamp = fresh;
        let pause = FIRST_PAUSE
            .checked_mul(1 << (*tries).min(16))
            .unwrap_or(LONGEST_PAUSE)
            .min(LONGEST_PAUSE);
        *tries = tries.saturating_add(1);
        self.deadlines.arm(now + pause, Due::Forget { op, stamp: fresh });
    }

    pub(super) fn forget_again(&mut self, op: OpId, effects: &mut Effects) {
        let fresh = self.lobby.new_stamp();
        if let Some(Op::Forget {
            key, holder, stamp, ..
        }) = self.ops.get_mut(op as usize)
        {
            *stamp = fresh;
            effects.push_back(Effect::Delete {
                op,
                key: key.clone(),
                holder: holder.clone(),
            });
        }
    }

    /// After a refusal: the head waits for the holder's end, for the next poll or for a wake-up.
    pub(super) fn await_turn(
        &mut self,
        now: Moment,
        queue: u32,
        until: Option<Moment>,
        effects: &mut Effects,
    ) {
        if self.lobby.head(queue).is_none() {
            self.close_queue(queue, effects);
            return;
        }
        let Some(line) = self.lobby.queue_mut(queue) else {
            return;
        };
        if self.capability.watches && !std::mem::replace(&mut line.watched, true) {
            effects.push_back(Effect::Watch {
                key: line.key.clone(),
                waiting: true,
            });
        }
        let recheck = std::mem::take(&mut line.recheck);
        if line.stands_back {
            let at = if line.run == 0 { now + TURN } else { Moment::NEVER };
            self.schedule(queue, at);
            return;
        }
        if recheck {
            self.ask(now, queue, true, effects);
            return;
        }
        let known = self
            .lobby
            .queue(queue)
            .and_then(|line| self.known_ends.get(&line.key).map(|(_, end)| *end));
        let mut next = match until.or(known) {
            Some(end) if end > now => end,
            // Over by our clock, not by the store's: soon.
            Some(_) if !self.capability.polls => now + TURN,
            _ => Moment::NEVER,
        };
        if self.capability.polls
            && let Some(delay) = self.lobby.shortest_delay(queue)
        {
            next = next.min(now + delay);
        }
        self.schedule(queue, next);
    }

    /// A true release begins that may end a run of hand-overs: until it is answered, nothing wakes the queue.
    pub(super) fn step_aside(&mut self, now: Moment, queue: u32) {
        let bound = self.hand_over_bound();
        let Some(line) = self.lobby.queue_mut(queue) else { return };
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
        let Some(line) = self.lobby.queue_mut(queue) else { return };
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

    pub(super) fn schedule(&mut self, queue: u32, at: Moment) {
        let stamp = self.lobby.new_stamp();
        let Some(line) = self.lobby.queue_mut(queue) else {
            return;
        };
        if line.next_try == at {
            return;
        }
        let before = std::mem::replace(&mut line.next_try, at);
        line.stamp = stamp;
        self.retire(before);
        self.deadlines.arm(at, Due::Try { queue, stamp });
    }

    /// Ends a waiter's wait with an outcome.
    pub(super) fn settle(
        &mut self,
        now: Moment,
        waiter: WaiterId,
        outcome: Outcome,
        effects: &mut Effects,
    ) -> bool {
        if matches!(outcome, Outcome::Acquired(_))
            && let Some(waiter) = self.lobby.get_mut(waiter)
        {
            waiter.doubtful = false;
        }
        let Some(ticket) = self.leave(now, waiter, effects) else {
            return false;
        };
        effects.push_back(Effect::Settle { ticket, outcome });
        true
    }

    /// Takes a waiter out of the lobby, and its queue with it if it was the last.
    pub(super) fn leave(&mut self, now: Moment, id: WaiterId, effects: &mut Effects) -> Option<Ticket> {
        let (waiter, queue) = self.lobby.remove(id)?;
        self.retire(waiter.due_at);
        if let Some(queue) = queue {
            if waiter.doubtful
                && let Some(line) = self.lobby.queue(queue)
            {
                self.forget_doubtful(now, line.key.clone(), waiter.owner, waiter.ttl, effects);
            }
            self.close_queue(queue, effects);
            // A poll that only this waiter's short delay called for comes when the others' delay wants it.
            if self.capability.polls
                && let Some(line) = self.lobby.queue(queue)
                && line.phase == Phase::Idle
                && !line.stands_back
                && line.next_try == line.last_asked + waiter.delay
                && let Some(delay) = self.lobby.shortest_delay(queue)
                && delay > waiter.delay
            {
                let at = (line.last_asked + delay).max(now);
                self.schedule(queue, at);
            }
        }
        if self.lobby.is_empty() && self.ops.is_empty() {
            self.deadlines.clear();
        }
        Some(waiter.ticket)
    }

    /// A waiter's deadline has come.
    pub(super) fn give_up(&mut self, now: Moment, id: WaiterId, effects: &mut Effects) {
        let place = self.lobby.queue_with_head(id);
        let Some(waiter) = self.lobby.get_mut(id) else {
            return;
        };
        waiter.due_at = Moment::NEVER; // it has come, so there is nothing to take back
        let (timeout_at, delay) = (waiter.timeout_at, waiter.delay);
        // Its last chance, not its timeout: if it stands first by now and the last answer is older than its delay, that
        // chance is a save.
        if now < timeout_at
            && self.capability.polls
            && let Some(queue) = place
            && let Some(line) = self.lobby.queue(queue)
            && line.phase == Phase::Idle
            && line.last_asked + delay <= now
        {
            if let Some(waiter) = self.lobby.get_mut(id) {
                waiter.chances = 1;
                waiter.due_at = timeout_at;
            }
            self.arm_due(id);
            self.ask(now, queue, true, effects);
            return;
        }
        self.settle(now, id, Outcome::Refused, effects);
    }

    pub(super) fn close_queue(&mut self, queue: u32, effects: &mut Effects) {
        if let Some(line) = self.lobby.close(queue) {
            self.retire(line.next_try);
            if line.watched {
                effects.push_back(Effect::Watch {
                    key: line.key,
                    waiting: false,
                });
            }
        }
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
        let Some(queue) = self.lobby.queue_of(key) else { return };
        match self.lobby.queue_mut(queue) {
            Some(line) if line.phase == Phase::Asking => line.recheck |= !self.capability.polls,
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
    pub(super) fn freed(&mut self, now: Moment, key: &Key, holder: &Holder, for_sure: bool, effects: &mut Effects) {
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

    fn attempt_for(&mut self, now: Moment, queue: u32, waiter: WaiterId, counts: bool) -> Option<Attempt> {
        self.schedule(queue, Moment::NEVER);
        let line = self.lobby.queue_mut(queue)?;
        line.phase = Phase::Asking;
        line.recheck = false;
        line.stands_back = false;
        line.last_asked = now;
        let key = line.key.clone();
        let head = self.lobby.get(waiter)?;
        Some(Attempt {
            waiter,
            queue: Some(queue),
            key,
            owner: head.owner.clone(),
            ttl: head.ttl,
            ticket: head.ticket,
            issued: now,
            counts: counts || now >= head.next_chance,
            doubtful: head.doubtful,
        })
    }

    pub(super) fn send_save(&mut self, attempt: Attempt, effects: &mut Effects) {
        let Attempt {
            ticket,
            key,
            owner,
            ttl,
            ..
        } = attempt.clone();
        let op = to_index(self.ops.insert(Op::Save {
            attempt,
            doubt: Doubt::None,
        }));
        effects.push_back(Effect::Save {
            op,
            ticket,
            key,
            owner,
            ttl,
        });
    }

    fn arm_due(&mut self, id: WaiterId) {
        if let Some(waiter) = self.lobby.get(id) {
            self.deadlines.arm(
                waiter.due_at,
                Due::GiveUp {
                    waiter: id.index,
                    serial: id.serial,
                },
            );
        }
    }

    fn retire(&mut self, at: Moment) {
        if at != Moment::NEVER {
            let (lobby, ops) = (&self.lobby, &self.ops);
            self.deadlines.retire(|at, due| matters(lobby, ops, at, due));
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
