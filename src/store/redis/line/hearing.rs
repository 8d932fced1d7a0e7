//! Subscriptions, and what is heard over them.

use super::{Hearing, Lines, Step};
use crate::clock::Moment;
use crate::lease::Key;

impl Lines {
    /// The server has confirmed a subscription: from now on we may stand in line.
    pub(in super::super) fn subscribed(&mut self, key: &Key) -> Option<Step> {
        let entry = self.entries.get_mut(key)?;
        entry.hearing = Hearing::Yes;
        (entry.waits && !entry.in_line).then(|| entry.wake(key))
    }

    /// A subscription could not be made, or has been lost. Tells whether it is still wanted.
    pub(in super::super) fn unheard(&mut self, key: &Key) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        entry.hearing = Hearing::No;
        entry.in_line = false;
        entry.waits
    }

    /// A subscription is tried again.
    pub(in super::super) fn retry(&mut self, key: &Key) -> Option<Step> {
        let entry = self.entries.get_mut(key).filter(|entry| entry.waits && entry.hearing == Hearing::No)?;
        entry.hearing = Hearing::Soon;
        Some(Step::Subscribe(key.clone()))
    }

    /// The server doesn't let us subscribe, and never will: those who wait ask from time to time.
    /// Nothing if that is known already.
    pub(in super::super) fn is_deaf(&mut self) -> Option<Vec<Step>> {
        if !std::mem::replace(&mut self.can_hear, false) {
            return None;
        }
        self.entries.values_mut().for_each(|entry| entry.hearing = Hearing::No);
        Some(self.waited_for().into_iter().map(Step::Wake).collect())
    }

    /// A wake-up has come: it is our turn, unless nobody here waits any longer.
    pub(in super::super) fn heard(&mut self, now: Moment, channel: &str) -> Option<Step> {
        let key = self.by_channel.get(channel)?;
        let entry = self.entries.get_mut(key)?;
        entry.patience = 0;
        if entry.waits {
            return Some(entry.wake(key));
        }
        if entry.is_joining(now) {
            entry.missed_turn = true;
            return None;
        }
        Some(entry.leave(key))
    }

    /// We have been taken out of the line.
    pub(in super::super) fn left(&mut self, key: &Key, me: &str) -> Option<Step> {
        let entry = self.entries.get_mut(key).filter(|entry| *entry.me == *me)?;
        entry.leaving = false;
        (entry.waits && !entry.in_line).then(|| entry.wake(key))
    }
}
