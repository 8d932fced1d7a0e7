//! The rules that are checked at every step and at the end.

use std::time::Duration;

use loquet::engine::Outcome;
use loquet::lease::Key;

use super::{Belief, Person, RELEASES, Standing, Unsure, World, is_fenced};

impl World {
    pub(super) fn settle(&mut self, number: u32, outcome: Outcome) {
        if number > RELEASES {
            let (key, owner, is_live) = self.releases.remove(&number).expect("a release is answered once");
            match outcome {
                Outcome::Released => {
                    let left = self.store.lease_of(self.now, key.as_str(), &owner);
                    assert!(left.is_none(), "{owner:?} was told of a release that hasn't been");
                }
                Outcome::NotOwned => {}
                Outcome::Failed(_) => self.unsure.push(Unsure { key, owner, is_live }),
                other => panic!("a release ended with {other:?}"),
            }
            return;
        }
        let place = self.place_in_line(number);
        let person = &mut self.people[number as usize];
        assert_eq!(
            person.standing,
            Standing::Waiting,
            "{number} is settled twice, or after its cancellation"
        );
        person.standing = Standing::Settled;
        match outcome {
            Outcome::Acquired(lease) => {
                assert!(
                    place.is_none_or(|place| place == 0),
                    "{number} overtook {:?}",
                    self.line[&person.key]
                );
                person.standing = Standing::Granted;
                self.tokens.heard(&person.owner, is_fenced(number), &lease);
                let is_forced = self.forced.contains(&person.owner);
                let is_over = lease.expires_at.is_some_and(|end| end <= self.now);
                let (key, owner, until) = (person.key.clone(), person.owner.clone(), lease.expires_at);
                if !is_forced && !is_over {
                    for belief in &self.beliefs {
                        let is_live = belief.until.is_none_or(|end| end > self.now);
                        assert!(
                            belief.key != key || !is_live,
                            "C1: {:?} and {owner:?} both hold {key:?}",
                            belief.owner
                        );
                    }
                    self.beliefs.push(Belief { key, owner, until });
                } else {
                    self.unsure.push(Unsure { key, owner, is_live: false }); // for the store it may last a little longer
                }
            }
            Outcome::Refused => {
                let (waited, retry) = (self.now.since(person.since), person.retry);
                let timed_out = retry.timeout.is_some_and(|timeout| waited > timeout);
                let chances_over = retry.attempts.is_some_and(|attempts| {
                    person.saves >= attempts.get() || waited >= retry.delay * (attempts.get() - 1)
                });
                assert!(timed_out || chances_over, "C9/C10: {number} gave up after {waited:?} of {retry:?}");
            }
            Outcome::Failed(_) => {}
            other => panic!("an acquire ended with {other:?}"),
        }
        self.leave_line(number);
    }

    pub(super) fn place_in_line(&self, number: u32) -> Option<usize> {
        let person = &self.people[number as usize];
        self.line.get(&person.key)?.iter().position(|other| *other == number)
    }

    pub(super) fn leave_line(&mut self, number: u32) {
        if let Some(place) = self.place_in_line(number) {
            let key = self.people[number as usize].key.clone();
            self.line.entry(key).or_default().remove(place);
        }
    }

    /// Nobody's lock is taken away before its time.
    pub(super) fn check_beliefs(&mut self) {
        let is_live = |belief: &mut Belief| belief.until.is_none_or(|end| end > self.now);
        let over = self.beliefs.extract_if(.., |belief| !is_live(belief));
        self.unsure.extend(over.map(|belief| Unsure {
            key: belief.key,
            owner: belief.owner,
            is_live: false,
        }));
        for belief in &self.beliefs {
            let lease = self.store.lease_of(self.now, belief.key.as_str(), &belief.owner);
            assert!(lease.is_some(), "{:?} lost {:?} without having released it", belief.owner, belief.key);
        }
    }

    /// Once it is told that nothing is left behind, whoever had left without a lease has none.
    pub(super) fn check_leftovers(&mut self) {
        let machine = &self.machine;
        let settled = self.leftovers.extract_if(.., |(left, _)| machine.are_settled(left));
        for number in settled.flat_map(|(_, gone)| gone) {
            let Person { key, owner, .. } = &self.people[number];
            if !self.unlucky.contains(owner) {
                let lease = self.store.lease_of(self.now, key.as_str(), owner);
                assert!(lease.is_none(), "C11: {owner:?} has left {key:?} locked");
            }
        }
    }

    /// Everything heals and everybody releases: nobody may be left waiting, and nothing may be left behind.
    pub fn finish(mut self) -> u64 {
        for _ in 0..20_000 {
            self.answer_all();
            self.deliver_wakes();
            while !self.foreigners.is_empty() {
                self.release_as_foreigner(0);
            }
            for Unsure { key, owner, is_live } in std::mem::take(&mut self.unsure) {
                let lease = self.store.lease_of(self.now, key.as_str(), &owner);
                if !self.repeats_releases && lease.is_some_and(|lease| lease.expires_at.is_some()) {
                    continue;
                }
                self.submit_release(&key, owner, is_live);
            }
            while !self.beliefs.is_empty() {
                self.release(0);
            }
            if !self.flights.is_empty() || !self.wakes.is_empty() || !self.unsure.is_empty() {
                continue;
            }
            let Some(due) = self.machine.next_deadline() else {
                break;
            };
            self.leap(due.max(self.now + Duration::from_micros(100))); // an answer takes some time, even without delay
        }
        for (number, person) in self.people.iter().enumerate() {
            let (standing, retry) = (person.standing, person.retry);
            assert!(standing != Standing::Waiting, "{number} was forgotten ({retry:?}) at {:?}", self.now);
        }
        if !self.repeats_releases {
            self.now = self.now + Duration::from_secs(1000); // so what expires is gone
        }
        assert!(self.releases.is_empty(), "a release was never answered");
        assert!(self.machine.is_idle(), "C13: {:?}", self.machine);
        assert!(self.watched.is_empty(), "still watched: {:?}", self.watched);
        self.store.sweep(self.now, usize::MAX);
        assert!(self.store.is_empty(), "left behind: {:?}", self.store);
        self.steps
    }

    /// What a store with wake-ups does: whoever subscribes to a free key is woken at once.
    pub(super) fn watch(&mut self, key: Key, waiting: bool) {
        assert!(self.capability.watches);
        if waiting {
            if !self.store.exists(self.now, key.as_str()) {
                self.wakes.push(key.clone());
            }
            assert!(self.watched.insert(key), "watched twice");
        } else {
            assert!(self.watched.remove(&key), "unwatched twice");
        }
    }
}
