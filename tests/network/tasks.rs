//! What the tasks of the processes do, and what they may rely on.

use std::num::NonZeroU32;
use std::time::Duration;

use loquet::engine::{Outcome, Request, Retry};
use loquet::lease::{Key, Owner, Ticket, Ttl};
use loquet::store::served::claim;

use super::{Belief, Doing, Event, Network, Task};

impl Network {
    pub(super) fn act(&mut self, number: usize, task: usize) {
        let now = self.now;
        let process = &mut self.processes[number];
        let incarnation = process.incarnation;
        match process.tasks[task].doing {
            Doing::Nothing if process.tasks[task].round == self.settings.rounds => {
                process.tasks[task].doing = Doing::Done;
            }
            Doing::Nothing => self.start(number, task),
            Doing::Holding | Doing::Releasing => {
                let Task { doing, key, owner, .. } = &mut process.tasks[task];
                *doing = Doing::Releasing;
                self.beliefs.retain(|belief| belief.owner != *owner);
                let ticket = Ticket { tenant: 1, number: u32::try_from(task).unwrap() };
                process.machine.release(now, ticket, key, claim(owner), &mut process.effects);
                self.perform_effects(number);
            }
            Doing::Waiting(_) | Doing::Done => panic!("{number}/{incarnation}/{task} acts while it waits"),
        }
    }

    pub(super) fn start(&mut self, number: usize, task: usize) {
        self.last_owner += 1;
        let owner = Owner::named(&format!(
            "{number}/{}/{task}/{}",
            self.processes[number].incarnation, self.last_owner
        ));
        let key = Key::new(&format!("key-{}", self.dice.below(self.settings.keys))).unwrap();
        let ttl = if self.settings.endless { 0 } else { 20 + self.dice.below(280) };
        let ttl = Ttl::from_millis(ttl).unwrap_or(Ttl::FOREVER);
        let delay = Duration::from_millis(if self.settings.greedy { 1 } else { 1 + self.dice.below(60) });
        let mut retry = Retry { attempts: None, delay, timeout: None };
        if !self.settings.greedy {
            match self.dice.below(5) {
                0 => retry.attempts = NonZeroU32::new(1 + u32::try_from(self.dice.below(5)).unwrap()),
                1 => retry.timeout = Some(self.dice.span(Duration::from_millis(300))),
                _ => {}
            }
        }
        let now = self.now;
        let fenced = self.last_owner.is_multiple_of(2);
        let patience = self.dice.happens(150).then(|| self.dice.span(Duration::from_millis(100)));
        let is_greedy = self.settings.greedy;
        let process = &mut self.processes[number];
        let ticket = Ticket { tenant: 0, number: u32::try_from(task).unwrap() };
        let request = Request { ticket, key: key.clone(), owner: owner.clone(), ttl, fenced, retry };
        let waiter = process.machine.acquire(now, request, &mut process.effects);
        let incarnation = process.incarnation;
        let state = &mut process.tasks[task];
        *state = Task { doing: Doing::Waiting(waiter), round: state.round + 1, key, owner, fenced };
        let round = state.round;
        if let Some(patience) = patience.filter(|_| !is_greedy) {
            self.after(patience, Event::Cancel { process: number, incarnation, task, round });
        }
        self.perform_effects(number);
    }

    pub(super) fn cancel(&mut self, number: usize, incarnation: u32, task: usize, round: u32) {
        let now = self.now;
        let process = &mut self.processes[number];
        let is_current =
            process.is_alive && process.incarnation == incarnation && process.tasks[task].round == round;
        if let (true, Doing::Waiting(waiter)) = (is_current, process.tasks[task].doing) {
            assert!(process.machine.cancel(now, waiter, &mut process.effects), "a waiter isn't there");
            self.rest(number, task);
            self.perform_effects(number);
        }
    }

    /// The task's round is over.
    pub(super) fn rest(&mut self, process: usize, task: usize) {
        self.processes[process].tasks[task].doing = Doing::Nothing;
        let pause =
            if self.settings.greedy { Duration::ZERO } else { self.dice.span(Duration::from_millis(20)) };
        let incarnation = self.processes[process].incarnation;
        self.after(pause, Event::Act { process, incarnation, task });
    }

    pub(super) fn settle(&mut self, number: usize, ticket: Ticket, outcome: Outcome) {
        let task = ticket.number as usize;
        let state = &self.processes[number].tasks[task];
        let (key, owner, doing) = (state.key.clone(), state.owner.clone(), state.doing);
        if ticket.tenant == 1 {
            assert_eq!(doing, Doing::Releasing, "{owner:?}: a release is answered twice");
            match outcome {
                Outcome::Failed(_) if self.settings.endless => {
                    let incarnation = self.processes[number].incarnation;
                    self.after(Duration::from_millis(10), Event::Act { process: number, incarnation, task });
                }
                Outcome::Released | Outcome::NotOwned | Outcome::Failed(_) => self.rest(number, task),
                other => panic!("a release ended with {other:?}"),
            }
            return;
        }
        assert!(matches!(doing, Doing::Waiting(_)), "{owner:?} is settled twice");
        let Outcome::Acquired(lease) = outcome else {
            self.rest(number, task);
            return;
        };
        self.tokens.heard(&owner, state.fenced, &lease);
        self.grants.push((number, key.clone()));
        let now = self.now;
        self.beliefs.retain(|belief| belief.until.is_none_or(|end| end > now));
        if lease.expires_at.is_none_or(|end| end > now) {
            let other = self.beliefs.iter().find(|belief| belief.key == key);
            let other = other.map(|belief| &belief.owner);
            assert!(other.is_none(), "{other:?} and {owner:?} both hold {key:?} at {now:?}");
            let known = self.store.lease_of(now, key.as_str(), &owner);
            assert!(known.is_some(), "{owner:?} was granted what the store knows nothing of");
            self.beliefs.push(Belief { process: number, key, owner, until: lease.expires_at });
        }
        let pause = self.dice.span(Duration::from_millis(if self.settings.greedy { 1 } else { 60 }));
        let incarnation = self.processes[number].incarnation;
        self.processes[number].tasks[task].doing = Doing::Holding;
        self.after(pause, Event::Act { process: number, incarnation, task });
    }
}
