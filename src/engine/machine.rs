//! The lock engine as a state machine without I/O.
//!
//! # Algorithm
//! For each key that somebody waits for there is one queue. Only its head talks to the store, with at most one command
//! under way, so a process is one contender however many of its tasks wait:
//!
//! 1. [`acquire`](Machine::acquire) puts the waiter at the end of its key's queue. The first in line asks the store at
//!    once ([`Effect::Save`]). An acquire with one chance doesn't queue: it asks for itself and ends with the answer.
//! 2. Refused, the head waits for whichever comes first: a wake-up ([`woken`](Machine::woken)), the end of the holder's
//!    lease as far as it is known, or, for stores that must be polled, the shortest `retry.delay` of the queue.
//! 3. [`release`](Machine::release) by a local holder passes the lease straight to the head where the store can do so in
//!    one command ([`Effect::HandOver`]), otherwise it deletes and the head asks again.
//! 4. After [`Capability::hand_over`] hand-overs in a row the lease is truly released and the head holds back for
//!    [`TURN`], so that other processes get theirs.
//!
//! A waiter who gives up or is cancelled leaves at once. If its save was under way and succeeds, the lease is an orphan:
//! it is handed to the next waiter or deleted, and the deletion is repeated until it is certain or the lease is over.
//! A lease that has expired by the time its answer comes isn't handed out either. A lost reply
//! ([`ErrorKind::Uncertain`]) is followed by [`Effect::Confirm`]: does our owner hold the key?
//!
//! # Fairness
//! FIFO within a process, whatever the retry policies: nobody overtakes, but for attempts with a single chance, which
//! never wait. Between processes the store decides; rule 4 keeps a busy process from keeping a lock to itself.
//!
//! # Chances
//! `attempts: n` is n saves for a waiter that is alone. For one that stands behind others it is a span: it gives up
//! (n - 1) delays after it came, since the saves of the head stand for its own. Where the store needs no polling every
//! release and expiry is seen, so there it is that span for the head too.
//!
//! # Complexity
//! Joining, leaving and being granted are O(1) and one hash look-up, plus O(log n) amortised for a deadline if the waiter
//! has one. A waiter costs one table entry of about 100 bytes; whoever has left costs nothing.
//!
//! # Contract with the shell
//! The shell performs effects in order and answers each command exactly once, with the [`OpId`] that it bears: `Save` with
//! [`saved`](Machine::saved), `Confirm` with [`confirmed`](Machine::confirmed), `HandOver` with
//! [`handed_over`](Machine::handed_over), `Delete` with [`deleted`](Machine::deleted); or any of them, when it will wait no
//! longer, with [`timed_out`](Machine::timed_out). It calls [`tick`](Machine::tick) when
//! [`next_deadline`](Machine::next_deadline) has come. Each ticket gets exactly one [`Effect::Settle`], unless it is
//! cancelled.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use slab::Slab;

use super::op::{Attempt, Doubt, Op, Release};
use super::queue::{Lobby, Phase, Queue, WaiterId, to_index};
use super::retry::Retry;
use crate::clock::Moment;
use crate::deadline::Deadlines;
use crate::error::{Error, ErrorKind};
use crate::lease::{Holder, Key, KeyMap, Lease, Owner, Ticket, Ttl};
use crate::store::{Capability, Save};

mod answers;
mod due;
mod effect;
mod orphans;
mod steps;
mod turns;

use due::{Due, matters};
pub use effect::{Effect, Effects, Outcome};
pub use orphans::Leftovers;

/// How long the head of a queue holds back after a true release that ends a run of local hand-overs.
pub const TURN: Duration = Duration::from_millis(5);

/// Names a command under way.
pub type OpId = u32;

/// What one acquire wants.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who is told how it ended.
    pub ticket: Ticket,
    /// What to lock.
    pub key: Key,
    /// For whom.
    pub owner: Owner,
    /// For how long.
    pub ttl: Ttl,
    /// Whether a fencing token is wanted.
    pub fenced: bool,
    /// How long and how often to try.
    pub retry: Retry,
}

/// The engine. See the [module documentation](self).
#[derive(Debug)]
pub struct Machine {
    capability: Capability,
    lobby: Lobby,
    ops: Slab<Op>,
    deadlines: Deadlines<Due>,
    /// Whose locally granted leases end when, for stores that don't tell.
    known_ends: KeyMap<(Owner, Moment)>,
    forget_known_above: usize,
    /// What a run of hand-overs had come to when its queue ran empty: the lease goes on, and so does the run when somebody
    /// waits again. Otherwise two tasks could pass a lock to each other for ever.
    runs: KeyMap<u32>,
}

impl Machine {
    /// An engine for a store that promises `capability`.
    #[must_use]
    pub fn new(capability: Capability) -> Self {
        Self {
            capability,
            lobby: Lobby::new(capability.polls),
            ops: Slab::new(),
            deadlines: Deadlines::default(),
            known_ends: KeyMap::default(),
            forget_known_above: 64,
            runs: KeyMap::default(),
        }
    }

    /// Whether anybody waits for the key. If nobody does, a store that answers at once may be asked without the machine.
    #[must_use]
    pub fn is_contended(&self, key: &str) -> bool {
        self.lobby.queue_of(key).is_some()
    }

    /// Event: somebody wants a lock.
    pub fn acquire(&mut self, now: Moment, request: Request, effects: &mut Effects) -> WaiterId {
        if request.retry.is_single() {
            return self.attempt_once(now, request, effects);
        }
        let (id, queue, is_new) = self.enqueue(now, request);
        let delay = self.lobby.get(id).map_or(Duration::ZERO, |waiter| waiter.delay);
        let Some(line) = self.lobby.queue(queue) else {
            return id;
        };
        if is_new {
            self.ask(now, queue, true, effects);
        } else if self.capability.polls && line.phase == Phase::Idle && !line.stands_back {
            // Its first chance: an answer younger than its delay stands for it, otherwise the store is asked.
            let due = line.last_asked + delay;
            if due <= now {
                self.ask(now, queue, false, effects);
            } else if due < line.next_try {
                self.schedule(queue, due);
            }
        }
        id
    }

    /// Event: somebody wants a lock that the store has just refused (its first chance), held until the given moment.
    pub fn wait(
        &mut self,
        now: Moment,
        request: Request,
        until: Option<Moment>,
        effects: &mut Effects,
    ) -> WaiterId {
        let (id, queue, is_new) = self.enqueue(now, request);
        if is_new {
            if let Some(line) = self.lobby.queue_mut(queue) {
                line.last_asked = now;
            }
            if let Some(waiter) = self.lobby.get_mut(id) {
                waiter.use_chance(now);
            }
            self.await_turn(now, queue, until, effects);
        }
        id
    }

    /// Event: a local holder releases. Ends with `Released`, `NotOwned` or `Failed` for `ticket`.
    pub fn release(&mut self, now: Moment, ticket: Ticket, key: &Key, holder: Holder, effects: &mut Effects) {
        self.release_lease(now, ticket, key, holder, true, effects);
    }

    /// As [`release`](Self::release). `was_live`: whether the lease isn't over yet by the releaser's own clock. If it is, and
    /// the reply is lost, a lock that is gone then counts as not owned.
    pub fn release_lease(
        &mut self,
        now: Moment,
        ticket: Ticket,
        key: &Key,
        holder: Holder,
        was_live: bool,
        effects: &mut Effects,
    ) {
        let release = Release { ticket, was_live };
        self.runs.remove(key.as_str());
        if let Some(queue) = self.lobby.queue_of(key.as_str()) {
            if self.may_hand_over(queue) {
                self.hand_over(now, queue, holder, Some(release), effects);
                return;
            }
            self.step_aside(now, queue);
        }
        let op = self.ops.insert(Op::Delete { key: key.clone(), holder: holder.clone(), release, tries: 0 });
        effects.push_back(Effect::Delete { op: to_index(op), key: key.clone(), holder });
    }

    /// Event: a lease that was granted has reached nobody, or somebody who has gone. The next waiter gets it, or it is
    /// deleted.
    pub fn returned(&mut self, now: Moment, key: &Key, holder: Holder, ttl: Ttl, effects: &mut Effects) {
        self.pass_on(now, key, holder, ttl, effects);
    }

    /// Event: the key may have become free, by a forced release for example. A hint only.
    pub fn woken(&mut self, now: Moment, key: &str, effects: &mut Effects) {
        self.hint(now, key, true, effects);
    }

    /// Event: the store says that the key may have become free. A hint only, and one that may come too often: asking costs
    /// the head none of its chances before the next of them is due.
    pub fn hinted(&mut self, now: Moment, key: &str, effects: &mut Effects) {
        self.hint(now, key, false, effects);
    }

    fn hint(&mut self, now: Moment, key: &str, counts: bool, effects: &mut Effects) {
        let Some(queue) = self.lobby.queue_of(key) else {
            return;
        };
        match self.lobby.queue_mut(queue) {
            Some(line) if line.phase == Phase::Asking => line.recheck = true,
            Some(line) if line.stands_back => {}
            Some(_) => self.ask(now, queue, counts, effects),
            None => {}
        }
    }

    /// Event: a local holder's lease has been extended.
    pub fn extended(&mut self, key: &str, expires_at: Option<Moment>) {
        let end = expires_at.unwrap_or(Moment::NEVER);
        if let Some((_, known)) = self.known_ends.get_mut(key) {
            *known = end;
        }
        self.told_end(key, end);
    }

    /// Event: a waiter goes (an abort). It gets no settlement, and leaves no lease behind. Tells whether it was still
    /// there; if not, its settlement is under way.
    pub fn cancel(&mut self, now: Moment, waiter: WaiterId, effects: &mut Effects) -> bool {
        self.leave(now, waiter, effects).is_some()
    }

    /// Event: a tenant goes with all its waiters.
    pub fn evict(&mut self, now: Moment, tenant: u32, effects: &mut Effects) {
        let gone: Vec<_> =
            self.lobby.ids().filter(|(_, ticket)| ticket.tenant == tenant).map(|(id, _)| id).collect();
        for waiter in gone {
            self.leave(now, waiter, effects);
        }
    }

    /// Event: one tenant, or with `None` everybody, stops waiting and is told so with [`Outcome::Closed`].
    pub fn close(&mut self, now: Moment, tenant: Option<u32>, effects: &mut Effects) {
        let all: Vec<_> = self
            .lobby
            .ids()
            .filter(|(_, ticket)| tenant.is_none_or(|tenant| tenant == ticket.tenant))
            .map(|(id, _)| id)
            .collect();
        for waiter in all {
            self.settle(now, waiter, Outcome::Closed, effects);
        }
    }

    /// Event: those who wait under the given tickets stop waiting and are told so with [`Outcome::Closed`].
    pub fn dismiss(&mut self, now: Moment, tickets: &HashSet<Ticket>, effects: &mut Effects) {
        let meant: Vec<_> =
            self.lobby.ids().filter(|(_, ticket)| tickets.contains(ticket)).map(|(id, _)| id).collect();
        for waiter in meant {
            self.settle(now, waiter, Outcome::Closed, effects);
        }
    }

    /// Event: time has passed.
    pub fn tick(&mut self, now: Moment, effects: &mut Effects) {
        loop {
            let (lobby, ops) = (&self.lobby, &self.ops);
            match self.deadlines.pop_due(now, |at, due| matters(lobby, ops, at, due)) {
                Some(Due::Try { queue, .. }) => {
                    let Some(line) = self.lobby.queue_mut(queue) else {
                        continue;
                    };
                    line.next_try = Moment::NEVER;
                    // A save at the end of a lease is one of the head's chances; one for the sake of somebody behind it
                    // with a shorter delay isn't.
                    let counts = std::mem::take(&mut line.awaits_end);
                    self.ask(now, queue, counts, effects);
                }
                Some(Due::Forget { op, .. }) => self.forget_again(op, effects),
                Some(Due::GiveUp { waiter, serial }) => {
                    self.give_up(now, WaiterId { index: waiter, serial }, effects);
                }
                None => break,
            }
        }
    }

    /// When [`tick`](Self::tick) is wanted next.
    pub fn next_deadline(&mut self) -> Option<Moment> {
        let (lobby, ops) = (&self.lobby, &self.ops);
        self.deadlines.next(|at, due| matters(lobby, ops, at, due))
    }

    /// How many waiters there are.
    #[must_use]
    pub fn waiter_count(&self) -> usize {
        self.lobby.waiter_count()
    }

    /// The keys that are waited for although they were held when somebody asked, and how many wait for each.
    pub fn contended(&self) -> impl Iterator<Item = (&Key, u32)> {
        let lines = self.lobby.queues.iter().map(|(_, line)| line);
        lines.filter(|line| line.is_contended).map(|line| (&line.key, line.count()))
    }

    /// How many wait for the key, for other threads to see until nobody does.
    pub fn crowd(&mut self, key: &str) -> Option<Arc<AtomicU32>> {
        let queue = self.lobby.queue_of(key)?;
        self.lobby.queue_mut(queue).map(Queue::show_count)
    }

    /// Whether nothing is left: no waiter, no queue, no command under way, no deadline.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lobby.is_empty() && self.ops.is_empty() && self.deadlines.is_empty()
    }
}
