//! What the tasks of the processes do, and what they may rely on.

use std::time::Duration;

use loquet::engine::{Outcome, Request, Retry};
use loquet::lease::{Owner, Ticket};
use loquet::store::served::claim;

use super::{Doing, Event, Fleet};

impl Fleet {
    pub(super) fn act(&mut self, number: usize, task: usize) {
        let (now, key) = (self.now, self.key.clone());
        let process = &mut self.processes[number];
        let place = u32::try_from(task).unwrap();
        match process.tasks[task].doing {
            Doing::Nothing if Some(process.tasks[task].round) == self.settings.rounds => {
                process.tasks[task].doing = Doing::Done;
                return;
            }
            Doing::Nothing => {
                process.serial += 1;
                let owner = Owner::named(&format!("{number}/{task}/{}", process.serial));
                let retry = Retry { attempts: None, delay: self.settings.delay, timeout: None };
                let ticket = Ticket { tenant: 0, number: place };
                let ttl = match self.settings.doomed {
                    Some(ttl) if self.dice.happens(500) => ttl,
                    _ => self.settings.ttl,
                };
                let fenced = process.serial.is_multiple_of(2);
                let request = Request { ticket, key, owner: owner.clone(), ttl, fenced, retry };
                let waiter = process.machine.acquire(now, request, &mut process.effects);
                let state = &mut process.tasks[task];
                state.round += 1;
                state.doing = Doing::Waiting(waiter);
                state.owner = owner;
                state.since = now;
                state.fenced = fenced;
            }
            Doing::Holding(_) | Doing::Releasing => {
                process.tasks[task].doing = Doing::Releasing;
                if self.holder.is_some_and(|(holder, of, _)| (holder, of) == (number, task)) {
                    self.holder = None;
                }
                let ticket = Ticket { tenant: 1, number: place };
                let holder = claim(&process.tasks[task].owner);
                process.machine.release(now, ticket, &key, holder, &mut process.effects);
            }
            Doing::Waiting(_) | Doing::Done => panic!("{number}/{task} acts while it waits"),
        }
        self.perform_effects(number);
    }

    pub(super) fn settle(&mut self, number: usize, ticket: Ticket, outcome: &Outcome) {
        let task = ticket.number as usize;
        let now = self.now;
        let state = &mut self.processes[number].tasks[task];
        if ticket.tenant == 1 {
            assert_eq!(state.doing, Doing::Releasing, "{number}/{task}: a release is answered twice");
            if let Outcome::Failed(_) = outcome {
                self.after(Duration::from_millis(10), Event::Act(number, task));
                return;
            }
            assert!(matches!(outcome, Outcome::Released | Outcome::NotOwned), "{outcome:?}");
            state.doing = Doing::Nothing;
            let pause = self.dice.span(self.settings.pause);
            self.after(pause, Event::Act(number, task));
            return;
        }
        assert!(matches!(state.doing, Doing::Waiting(_)), "{number}/{task} is settled twice");
        let Outcome::Acquired(lease) = outcome else {
            assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
            state.doing = Doing::Nothing;
            self.after(Duration::from_millis(10), Event::Act(number, task));
            return;
        };
        state.doing = Doing::Holding(lease.expires_at);
        assert_eq!(lease.token.is_some(), state.fenced, "{number}/{task}: {lease:?}");
        self.figures.grant(now, state.since);
        if lease.expires_at.is_none_or(|end| end > now) {
            let others = self.holder.filter(|(.., end)| end.is_none_or(|end| end > now));
            assert_eq!(others, None, "{number}/{task} holds the lock too, at {now:?}");
            let owner = self.processes[number].tasks[task].owner.clone();
            let known = self.server.owner_of(now, &self.key);
            assert_eq!(known, Some(&owner), "{number}/{task} was granted what the server knows nothing of");
            self.holder = Some((number, task, lease.expires_at));
            if lease.token.is_some() {
                assert!(lease.token > self.last_token, "{lease:?} after {:?}", self.last_token);
                self.last_token = lease.token;
            }
        }
        let body = self.settings.body + self.dice.span(self.settings.body_spread);
        if self.settings.doomed.is_some() && self.figures.killed_holders == 0 {
            let pause = self.dice.span(body);
            self.after(pause, Event::KillHolder);
        }
        self.after(body, Event::Act(number, task));
    }
}
