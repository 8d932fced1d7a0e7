//! The shell for stores that answer at once: effects are performed within the call.
//!
//! Uncontended, an acquire is one save and a release one delete; the machine hears of neither. Only an acquire that finds
//! the lock held enters it, with its first chance used up.

use std::collections::HashSet;

use super::machine::{Effect, Effects, Machine, Outcome, Request};
use super::queue::WaiterId;
use crate::clock::Moment;
use crate::figures::{Figures, Spans};
use crate::lease::{Holder, Key, Lease, LeaseId, Ticket};
use crate::store::{Bid, ImmediateStore, Save};

/// How an acquire began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The lock is the caller's.
    Acquired(Lease),
    /// The lock is held and the caller didn't want to wait.
    Refused,
    /// The caller waits; its ticket will be settled.
    Waiting(WaiterId),
}

/// The engine together with a store that answers at once.
#[derive(Debug)]
pub struct Inline<S> {
    /// The store. What is freed in it behind the engine's back is to be told with [`Inline::woken`].
    pub store: S,
    machine: Machine,
    effects: Effects,
    settled: Vec<(Ticket, Outcome)>,
    waits: Spans,
}

impl<S: ImmediateStore> Inline<S> {
    /// An engine over `store`.
    #[must_use]
    pub fn new(store: S) -> Self {
        let machine = Machine::new(store.capability());
        Self { store, machine, effects: Effects::new(), settled: Vec::new(), waits: Spans::default() }
    }

    /// One attempt. With `in_turn` it is refused while others wait (the caller means to wait too).
    pub fn attempt(&mut self, now: Moment, key: &Key, bid: Bid<'_>, in_turn: bool) -> Entered {
        if self.machine.is_contended(key.as_str()) {
            // An expiry whose timer hasn't fired yet belongs to the head of the queue.
            self.tick(now);
            if in_turn && self.machine.is_contended(key.as_str()) {
                return Entered::Refused;
            }
        }
        match self.store.save(now, key, bid) {
            Save::Acquired(lease) => {
                self.waits.record_empty();
                Entered::Acquired(lease)
            }
            Save::Held { .. } => Entered::Refused,
        }
    }

    /// An acquire that waits if it must.
    pub fn acquire(&mut self, now: Moment, request: Request) -> Entered {
        let mut until = None;
        if self.machine.is_contended(request.key.as_str()) {
            self.tick(now);
        }
        if !self.machine.is_contended(request.key.as_str()) {
            match self.store.save(now, &request.key, bid(&request)) {
                Save::Acquired(lease) => {
                    self.waits.record_empty();
                    return Entered::Acquired(lease);
                }
                Save::Held { until: end } => until = end,
            }
        }
        if request.retry.is_single() {
            return Entered::Refused;
        }
        let waiter = self.machine.wait(now, request, until, &mut self.effects);
        self.perform(now);
        Entered::Waiting(waiter)
    }

    /// A release; the next waiter, if any, is settled by it. Tells whether the holder held the lock.
    pub fn release(&mut self, now: Moment, key: &Key, holder: &Holder) -> bool {
        if !self.machine.is_contended(key.as_str()) {
            return self.store.delete(now, key, holder);
        }
        let ticket = Ticket::default();
        self.machine.release(now, ticket, key, holder.clone(), &mut self.effects);
        let first_new = self.settled.len();
        self.perform(now);
        // The release's own answer is among what has just been settled; it is the caller's, not a waiter's.
        let own = self.settled[first_new..].iter().position(|(_, outcome)| {
            matches!(outcome, Outcome::Released | Outcome::NotOwned | Outcome::Failed(_))
        });
        own.is_some_and(|position| matches!(self.settled.remove(first_new + position).1, Outcome::Released))
    }

    /// As [`release`](Self::release), for a lease known by its identity alone.
    pub fn release_lease(&mut self, now: Moment, id: LeaseId) -> bool {
        let Some(key) = self.store.key_of(now, id) else {
            return false;
        };
        if !self.machine.is_contended(key.as_str()) {
            return self.store.delete_lease(now, id);
        }
        let key = key.clone();
        self.release(now, &key, &Holder::Lease(id))
    }

    /// The key has become free by other means.
    pub fn woken(&mut self, now: Moment, key: &str) {
        self.machine.woken(now, key, &mut self.effects);
        self.perform(now);
    }

    /// A waiter goes. Tells whether it was still there; if not, its settlement is under way.
    pub fn cancel(&mut self, now: Moment, waiter: WaiterId) -> bool {
        let was_there = self.machine.cancel(now, waiter, &mut self.effects);
        self.perform(now);
        was_there
    }

    /// A tenant goes with all its waiters.
    pub fn evict(&mut self, now: Moment, tenant: u32) {
        self.machine.evict(now, tenant, &mut self.effects);
        self.perform(now);
    }

    /// Those who wait under the given tickets stop waiting and are told so.
    pub fn dismiss(&mut self, now: Moment, tickets: &HashSet<Ticket>) {
        self.machine.dismiss(now, tickets, &mut self.effects);
        self.perform(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) {
        self.machine.tick(now, &mut self.effects);
        self.perform(now);
    }

    /// When [`tick`](Self::tick) is wanted next.
    pub fn next_deadline(&mut self) -> Option<Moment> {
        self.machine.next_deadline()
    }

    /// How many waiters there are.
    #[must_use]
    pub fn waiter_count(&self) -> usize {
        self.machine.waiter_count()
    }

    /// What is known of waits and of those who wait; the store knows the rest.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = Figures { wait: self.waits.summary(), ..Figures::default() };
        for (key, count) in self.machine.contended() {
            figures.add_waiters(key, count);
        }
        figures
    }

    /// Takes what has been settled since the last call, in order.
    pub fn drain_settled(&mut self) -> impl Iterator<Item = (Ticket, Outcome)> + '_ {
        self.settled.drain(..)
    }

    /// Whether anything has been settled that nobody has taken yet.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    fn perform(&mut self, now: Moment) {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Save { op, ticket, key, owner, ttl, fenced, .. } => {
                    let reply = self.store.save(now, &key, Bid { owner: &owner, ttl, ticket, fenced });
                    self.machine.saved(now, op, Ok(reply), &mut self.effects);
                }
                Effect::HandOver { op, ticket, key, from, to, ttl, fenced } => {
                    let to = Bid { owner: &to, ttl, ticket, fenced };
                    let reply = self.store.hand_over(now, &key, &from, to);
                    self.machine.handed_over(now, op, Ok(reply), &mut self.effects);
                }
                Effect::Delete { op, key, holder } => {
                    let reply = self.store.delete(now, &key, &holder);
                    self.machine.deleted(now, op, Ok(reply), &mut self.effects);
                }
                Effect::Settle { ticket, outcome, since } => {
                    if let Outcome::Acquired(_) = outcome {
                        self.waits.record(since, now);
                    }
                    self.settled.push((ticket, outcome));
                }
                // A store that answers at once loses no replies and needs no watching.
                Effect::Confirm { .. } | Effect::Watch { .. } => {}
            }
        }
    }
}

fn bid(request: &Request) -> Bid<'_> {
    let Request { ticket, owner, ttl, fenced, .. } = request;
    Bid { owner, ttl: *ttl, ticket: *ticket, fenced: *fenced }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::engine::Retry;
    use crate::lease::{Owner, Ttl};
    use crate::store::memory::MemoryStore;

    const WAIT: Retry = Retry { attempts: None, delay: Duration::from_millis(250), timeout: None };

    fn request(number: u32, ttl: Ttl, retry: Retry) -> Request {
        Request {
            ticket: Ticket { tenant: 1, number },
            key: Key::new("k").unwrap(),
            owner: Owner::unnamed(),
            ttl,
            fenced: false,
            retry,
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::START + Duration::from_millis(millis)
    }

    fn lease(entered: Entered) -> Lease {
        match entered {
            Entered::Acquired(lease) => lease,
            other => panic!("expected a lease, got {other:?}"),
        }
    }

    fn next(inline: &mut Inline<MemoryStore>) -> Lease {
        let (_, outcome) = inline.drain_settled().next().unwrap();
        let Outcome::Acquired(lease) = outcome else { panic!("{outcome:?}") };
        lease
    }

    fn settled(inline: &mut Inline<MemoryStore>) -> Vec<(u32, &'static str)> {
        inline
            .drain_settled()
            .map(|(ticket, outcome)| {
                let word = match outcome {
                    Outcome::Acquired(_) => "acquired",
                    Outcome::Refused => "refused",
                    Outcome::Closed => "closed",
                    _ => "other",
                };
                (ticket.number, word)
            })
            .collect()
    }

    #[test]
    fn c8_a_release_settles_the_next_waiter_in_the_same_call_in_order() {
        let mut inline = Inline::new(MemoryStore::default());
        let key = Key::new("k").unwrap();
        let mut held = lease(inline.acquire(at(0), request(0, Ttl::FOREVER, WAIT)));
        for number in 1..=3 {
            assert!(matches!(
                inline.acquire(at(1), request(number, Ttl::FOREVER, WAIT)),
                Entered::Waiting(_)
            ));
        }
        for number in 1..=3 {
            assert!(inline.release(at(2), &key, &Holder::Lease(held.id)));
            let granted: Vec<_> = inline.drain_settled().collect();
            let [(ticket, Outcome::Acquired(next))] = granted.as_slice() else { panic!("{granted:?}") };
            assert_eq!(ticket.number, number);
            held = *next;
        }
        assert!(inline.release(at(3), &key, &Holder::Lease(held.id)));
        assert!(inline.machine.is_idle() && inline.store.is_empty());
    }

    #[test]
    fn a_lease_that_is_passed_on_gets_a_token_if_the_next_wants_one() {
        let mut inline = Inline::new(MemoryStore::default());
        let key = Key::new("k").unwrap();
        let fenced = |number| Request { fenced: true, ..request(number, Ttl::FOREVER, WAIT) };
        let first = lease(inline.acquire(at(0), fenced(0)));
        inline.acquire(at(1), request(1, Ttl::FOREVER, WAIT));
        inline.acquire(at(1), fenced(2));
        assert!(inline.release(at(2), &key, &Holder::Lease(first.id)));
        let plain = next(&mut inline);
        assert!(inline.release(at(3), &key, &Holder::Lease(plain.id)));
        let last = next(&mut inline);
        assert_eq!(plain.token, None);
        assert!(first.token.is_some() && last.token > first.token, "{first:?} {last:?}");
    }

    #[test]
    fn c8_a_waiter_is_granted_at_expiry_without_a_poll() {
        let mut inline = Inline::new(MemoryStore::default());
        lease(inline.acquire(at(0), request(0, Ttl::from_millis(100).unwrap(), WAIT)));
        inline.acquire(at(1), request(1, Ttl::FOREVER, WAIT));
        assert_eq!(inline.next_deadline(), Some(at(100)));
        inline.tick(at(99));
        assert_eq!(settled(&mut inline), []);
        inline.tick(at(100));
        assert_eq!(settled(&mut inline), [(1, "acquired")]);
        assert!(inline.machine.is_idle());
    }

    #[test]
    fn c9_a_timeout_gives_up_after_its_span_and_not_at_it() {
        let mut inline = Inline::new(MemoryStore::default());
        lease(inline.acquire(at(0), request(0, Ttl::FOREVER, WAIT)));
        let retry = Retry { timeout: Some(Duration::from_millis(300)), ..WAIT };
        inline.acquire(at(10), request(1, Ttl::FOREVER, retry));
        inline.tick(at(310));
        assert_eq!(settled(&mut inline), []);
        inline.tick(at(311));
        assert_eq!(settled(&mut inline), [(1, "refused")]);
        assert!(inline.machine.is_idle(), "C13: a waiter that gave up leaves nothing");
    }

    #[test]
    fn c10_attempts_end_when_the_last_chance_has_passed() {
        let mut inline = Inline::new(MemoryStore::default());
        lease(inline.acquire(at(0), request(0, Ttl::FOREVER, WAIT)));
        let retry = Retry { attempts: NonZeroU32::new(3), delay: Duration::from_millis(100), timeout: None };
        inline.acquire(at(0), request(1, Ttl::FOREVER, retry));
        inline.tick(at(199));
        assert_eq!(settled(&mut inline), []);
        inline.tick(at(200));
        assert_eq!(settled(&mut inline), [(1, "refused")]);
    }

    #[test]
    fn c2_the_old_owner_neither_frees_nor_extends_the_new_owners_lock() {
        let mut inline = Inline::new(MemoryStore::default());
        let key = Key::new("k").unwrap();
        let old = lease(inline.acquire(at(0), request(0, Ttl::from_millis(50).unwrap(), WAIT)));
        let new = lease(inline.acquire(at(50), request(1, Ttl::FOREVER, WAIT)));
        assert!(!inline.release(at(51), &key, &Holder::Lease(old.id)));
        assert!(inline.store.extend_lease(at(51), old.id, Ttl::FOREVER).is_none());
        assert!(inline.store.exists(at(51), "k"));
        assert!(inline.release(at(52), &key, &Holder::Lease(new.id)));
    }

    #[test]
    fn c11_a_cancelled_waiter_frees_its_place() {
        let mut inline = Inline::new(MemoryStore::default());
        let key = Key::new("k").unwrap();
        let held = lease(inline.acquire(at(0), request(0, Ttl::FOREVER, WAIT)));
        let Entered::Waiting(first) = inline.acquire(at(1), request(1, Ttl::FOREVER, WAIT)) else { panic!() };
        inline.acquire(at(2), request(2, Ttl::FOREVER, WAIT));
        assert!(inline.cancel(at(3), first));
        assert!(!inline.cancel(at(3), first));
        inline.release(at(4), &key, &Holder::Lease(held.id));
        assert_eq!(settled(&mut inline), [(2, "acquired")]);
    }

    #[test]
    fn an_attempt_does_not_overtake_a_waiter_at_the_moment_of_expiry() {
        let mut inline = Inline::new(MemoryStore::default());
        let key = Key::new("k").unwrap();
        lease(inline.acquire(at(0), request(0, Ttl::from_millis(10).unwrap(), WAIT)));
        inline.acquire(at(1), request(1, Ttl::FOREVER, WAIT));
        let ticket = Ticket { tenant: 1, number: 2 };
        let entered = inline.attempt(
            at(10),
            &key,
            Bid { owner: &Owner::unnamed(), ttl: Ttl::FOREVER, ticket, fenced: false },
            false,
        );
        assert_eq!(entered, Entered::Refused);
        assert_eq!(settled(&mut inline), [(1, "acquired")]);
    }

    #[test]
    fn those_who_are_dismissed_are_told_and_the_others_stay() {
        let mut inline = Inline::new(MemoryStore::default());
        lease(inline.acquire(at(0), request(0, Ttl::FOREVER, WAIT)));
        for number in 1..=3 {
            inline.acquire(at(1), request(number, Ttl::FOREVER, WAIT));
        }
        let ticket = |number| Ticket { tenant: 1, number };
        inline.dismiss(at(2), &HashSet::from([ticket(1), ticket(3), ticket(9)]));
        assert_eq!(settled(&mut inline), [(1, "closed"), (3, "closed")]);
        inline.dismiss(at(2), &HashSet::from([ticket(2)]));
        assert_eq!(settled(&mut inline), [(2, "closed")]);
        assert!(inline.machine.is_idle());
    }
}
