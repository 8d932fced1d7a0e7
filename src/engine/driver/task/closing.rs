//! How a driver ends, and who is told.

use super::super::super::machine::Outcome;
use super::super::outbox::Sender;
use super::{Moment, Parked, Task};
use crate::error::{Error, ErrorKind};
use crate::store::Answer;

impl Task {
    pub(super) fn close(&mut self) {
        let now = self.clock.now();
        if self.closing.is_none() {
            self.closing = Some(now + self.outbox.patience());
            self.machine.close(now, None, &mut self.effects);
        }
    }

    /// Tells those for whom everything is settled, or all of them.
    pub(super) fn tell_cleaners(&mut self, all: bool) {
        let machine = &self.machine;
        let settled = self.cleaners.extract_if(.., |(left, _)| all || machine.are_settled(left));
        for (_, asker) in settled.collect::<Vec<_>>() {
            self.answer(asker, Ok(Answer::Done));
        }
    }

    pub(super) fn is_over(&mut self, now: Moment) -> bool {
        let Some(deadline) = self.closing else {
            return false;
        };
        let is_quiet =
            self.machine.next_deadline().is_none() && self.machine.is_idle() && self.outbox.is_empty();
        is_quiet || now >= deadline
    }

    pub(super) fn next_deadline(&mut self, now: Moment) -> Option<Moment> {
        let closing = self.closing.filter(|_| !self.closers.is_empty() || self.inbox.is_closed());
        [self.machine.next_deadline(), self.outbox.next_deadline(now), self.keeper.next_deadline(), closing]
            .into_iter()
            .flatten()
            .min()
    }

    /// The driver ends, whatever is still under way: whoever waits for an answer hears that there is none. Leaving that to
    /// the channels would do for futures, but tenants would wait for ever.
    pub(super) fn give_up(&mut self) {
        let error = |operation| {
            let message = "the connection was closed before the store had answered";
            Error::new(ErrorKind::Uncertain, self.store.name(), operation, message)
        };
        for sender in self.outbox.give_up() {
            let operation = sender.operation();
            if let Sender::Extend { asker, .. }
            | Sender::ForceDelete { asker, .. }
            | Sender::Exists { asker } = sender
            {
                self.answer(asker, Err(error(operation)));
            }
        }
        let failed = Outcome::Failed(error("release"));
        let now = self.clock.now();
        let outcome = |parked: &Parked| match parked {
            Parked::Releaser(_) => failed.clone(),
            Parked::Waiter { .. } => Outcome::Closed,
        };
        let ends: Vec<_> = self.parked.iter().map(|(ticket, parked)| (*ticket, outcome(parked))).collect();
        for (ticket, outcome) in ends {
            self.settle(now, ticket, outcome, now);
        }
    }
}
