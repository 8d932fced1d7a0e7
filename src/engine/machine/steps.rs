//! The steps that events and answers are made of: joining, asking, handing over, leaving.

use std::num::NonZeroU32;

use super::{
    Attempt, Doubt, Due, Effect, Effects, Holder, Machine, Moment, Op, Outcome, Phase, Release, Request,
    TURN, Ticket, WaiterId, matters, to_index,
};

/// How many runs are remembered beyond their queues.
const MOST_RUNS: usize = 1024;

impl Machine {
    pub(super) fn attempt_once(&mut self, now: Moment, request: Request, effects: &mut Effects) -> WaiterId {
        let Request { ticket, ttl, fenced, .. } = request;
        let owner = request.owner.clone();
        let (waiter, key) = self.lobby.add(now, request);
        self.arm_due(waiter);
        let attempt = Attempt {
            waiter,
            queue: None,
            key,
            owner,
            ttl,
            fenced,
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
        let retry = request.retry;
        let (id, key) = self.lobby.add(now, request);
        let (queue, is_new) = self.lobby.join(id, &key);
        if is_new
            && let Some(run) = self.runs.remove(&key)
            && let Some(line) = self.lobby.queue_mut(queue)
        {
            line.run = run;
        }
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
        self.lobby.queue(queue).is_some_and(|line| line.phase == Phase::Idle && line.run < bound)
            && self.lobby.head(queue).is_some()
    }

    /// Passes a lease from its holder to the head of the queue.
    pub(super) fn hand_over(
        &mut self,
        now: Moment,
        queue: u32,
        from: Holder,
        release: Option<Release>,
        effects: &mut Effects,
    ) {
        let Some(waiter) = self.lobby.head(queue) else {
            return;
        };
        let Some(attempt) = self.attempt_for(now, queue, waiter, true) else {
            return;
        };
        let Attempt { ticket, key, owner: to, ttl, fenced, .. } = attempt.clone();
        let op = to_index(self.ops.insert(Op::HandOver { attempt, from: from.clone(), release }));
        effects.push_back(Effect::HandOver { op, ticket, key, from, to, ttl, fenced });
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
        if !std::mem::replace(&mut line.is_contended, true) && self.capability.watches {
            effects.push_back(Effect::Watch { key: line.key.clone(), waiting: true });
        }
        let recheck = std::mem::take(&mut line.recheck);
        let told = std::mem::replace(&mut line.told_end, Moment::NEVER);
        if line.stands_back {
            let at = if line.run == 0 { now + TURN } else { Moment::NEVER };
            self.schedule(queue, at);
            return;
        }
        if recheck {
            self.ask(now, queue, true, effects);
            return;
        }
        let known =
            self.lobby.queue(queue).and_then(|line| self.known_ends.get(&line.key).map(|(_, end)| *end));
        let is_counted = self
            .lobby
            .head(queue)
            .and_then(|head| self.lobby.get(head))
            .is_some_and(|head| head.chances != u32::MAX);
        let end = match until.or(known) {
            Some(end) if end > now => end,
            // Over by our clock, not yet by the store's: soon, and then less and less soon. Chances that are counted are
            // not spent on it.
            Some(end) if !is_counted => now + now.since(end).max(TURN),
            _ => Moment::NEVER,
        };
        let end = if told > now && !is_counted { end.min(told) } else { end };
        let mut next = end;
        if self.capability.polls
            && let Some(delay) = self.lobby.shortest_delay(queue)
        {
            next = next.min(now + delay);
        }
        self.schedule(queue, next);
        if let Some(line) = self.lobby.queue_mut(queue) {
            line.held_until = end;
            line.awaits_end = next == end;
        }
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
        let Some((ticket, since)) = self.leave(now, waiter, effects) else {
            return false;
        };
        effects.push_back(Effect::Settle { ticket, outcome, since });
        true
    }

    /// Takes a waiter out of the lobby, and its queue with it if it was the last. Tells who it was and since when it was there.
    pub(super) fn leave(
        &mut self,
        now: Moment,
        id: WaiterId,
        effects: &mut Effects,
    ) -> Option<(Ticket, Moment)> {
        let (waiter, queue) = self.lobby.remove(id)?;
        self.retire(waiter.due_at);
        if let Some(queue) = queue {
            if waiter.doubtful
                && let Some(line) = self.lobby.queue(queue)
            {
                self.forget_doubtful(now, line.key.clone(), waiter.owner, waiter.ttl, effects);
            }
            self.close_queue(queue, effects);
            // A poll that only this waiter's short delay called for comes when the others' delay wants it, or the lease ends.
            if self.capability.polls
                && let Some(line) = self.lobby.queue(queue)
                && line.phase == Phase::Idle
                && !line.stands_back
                && line.next_try == line.last_asked + waiter.delay
                && let Some(delay) = self.lobby.shortest_delay(queue)
                && delay > waiter.delay
            {
                let end = line.held_until;
                let at = (line.last_asked + delay).min(end).max(now);
                self.schedule(queue, at);
                if let Some(line) = self.lobby.queue_mut(queue) {
                    line.awaits_end = at == end;
                }
            }
        }
        if self.lobby.is_empty() && self.ops.is_empty() {
            self.deadlines.clear();
        }
        Some((waiter.ticket, waiter.since))
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
            if line.run > 0 && !line.stands_back && self.capability.hand_over != Some(NonZeroU32::MAX) {
                if self.runs.len() >= MOST_RUNS {
                    self.runs.clear(); // leases that nobody released; a run more or less does no harm
                }
                self.runs.insert(line.key.clone(), line.run);
            }
            self.retire(line.next_try);
            if line.is_contended && self.capability.watches {
                effects.push_back(Effect::Watch { key: line.key, waiting: false });
            }
        }
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
            fenced: head.fenced,
            ticket: head.ticket,
            issued: now,
            counts: counts || now >= head.next_chance,
            doubtful: head.doubtful,
        })
    }

    pub(super) fn send_save(&mut self, attempt: Attempt, effects: &mut Effects) {
        let Attempt { ticket, key, owner, ttl, fenced, queue, .. } = attempt.clone();
        let op = to_index(self.ops.insert(Op::Save { attempt, doubt: Doubt::None }));
        effects.push_back(Effect::Save { op, ticket, key, owner, ttl, fenced, waits: queue.is_some() });
    }

    fn arm_due(&mut self, id: WaiterId) {
        if let Some(waiter) = self.lobby.get(id) {
            self.deadlines.arm(waiter.due_at, Due::GiveUp { waiter: id.index, serial: id.serial });
        }
    }

    fn retire(&mut self, at: Moment) {
        if at != Moment::NEVER {
            let (lobby, ops) = (&self.lobby, &self.ops);
            self.deadlines.retire(|at, due| matters(lobby, ops, at, due));
        }
    }
}
