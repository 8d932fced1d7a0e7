//! What this process knows about the lines that it stands in: which keys it waits for, where it is subscribed, whose turn
//! it is. No I/O.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::lease::{Key, KeyMap};
use crate::store::Answer;

mod commands;
mod ends;
mod hearing;

/// How long whoever isn't first leaves a free lock to the one who is.
pub(super) const TURN: Duration = Duration::from_millis(5);

/// How long a subscription outlives the last wait. A key that was contended a moment ago will be again, and until then
/// an acquire on it stands in line instead of pushing in.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// How long a place in line is kept that nobody here stands in any longer.
const LEAVE_PAUSE: Duration = Duration::from_millis(250);

/// A save that joins and takes longer than this was given up without a word.
const LONGEST_SAVE: Duration = Duration::from_secs(10);

/// How long the server keeps a line that nobody touches.
pub(super) const LINE_LIFETIME: Duration = Duration::from_secs(300);

/// How often whoever waits shows that it is still there.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// Whether wake-ups for a key reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// Nobody has asked for it yet, or it has been lost.
    No,
    /// The server has been asked.
    Soon,
    Yes,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each of them is independent of the others
struct Entry {
    /// Who we are in line. Not used again after the entry has gone, so that an old subscription can't end a new one.
    me: Arc<str>,
    channel: String,
    hearing: Hearing,
    /// Somebody here waits.
    waits: bool,
    /// The server has us in line.
    in_line: bool,
    /// We are being taken out of the line. Until that is done nobody joins it, for the one could undo the other.
    leaving: bool,
    /// Since when a save is under way that joins the line; it may be our turn before we know that we stand there.
    joining_since: Option<Moment>,
    /// It was our turn, or there was something to know, before anybody here was known to wait.
    missed_turn: bool,
    /// We have been woken and haven't asked since: that ask is not left out.
    is_woken: bool,
    /// To whom we have left a free lock, and since when.
    yielded: Option<(Arc<str>, Moment)>,
    /// When the last wait ended, or somebody else was woken by our release.
    last_contended: Moment,
    last_sign: Moment,
    /// How many asks in a row we leave out: whoever stands at the far end of a line needn't ask as often as the first.
    patience: u32,
    /// What the server said last about the end of the lease.
    held_until: Option<Moment>,
}

/// How a save is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// By plain `SET`: nobody here has waited for the key lately.
    Plain,
    /// By script, in turn.
    InTurn {
        /// Who to be put in line as if refused; nobody if we don't wait or couldn't hear of our turn.
        joins: Option<Arc<str>>,
        /// Who has been woken already, and whether it has had its chance.
        known: Option<(Arc<str>, bool)>,
    },
}

/// What the subscriber has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Subscribe(Key),
    Unsubscribe(Key, String),
    Leave(Key, Arc<str>),
    Wake(Key),
}

impl Entry {
    fn wake(&mut self, key: &Key) -> Step {
        self.is_woken = true;
        Step::Wake(key.clone())
    }

    fn leave(&mut self, key: &Key) -> Step {
        self.in_line = false;
        self.missed_turn = false;
        self.leaving = true;
        Step::Leave(key.clone(), Arc::clone(&self.me))
    }

    fn is_joining(&self, now: Moment) -> bool {
        self.joining_since.is_some_and(|since| now.since(since) < LONGEST_SAVE)
    }
}

/// The lines of one store.
#[derive(Debug)]
pub(super) struct Lines {
    process: String,
    opened: u64,
    entries: KeyMap<Entry>,
    by_channel: HashMap<String, Key>,
    /// Whether the server lets us hear of turns at all.
    can_hear: bool,
}

impl Lines {
    /// The lines of a process that nobody else is called like.
    pub(super) fn new(process: String) -> Self {
        Self { process, opened: 0, entries: KeyMap::default(), by_channel: HashMap::new(), can_hear: true }
    }

    /// How to send a save; `waits` tells whether the caller will wait if it is refused.
    pub(super) fn manner(&mut self, now: Moment, key: &str, waits: bool) -> Manner {
        let Some(entry) = self.entries.get_mut(key) else {
            return Manner::Plain;
        };
        entry.is_woken &= !waits;
        let joins = waits && entry.hearing == Hearing::Yes && !entry.leaving;
        if joins {
            entry.joining_since = Some(now);
        }
        Manner::InTurn {
            joins: joins.then(|| Arc::clone(&entry.me)),
            known: entry
                .yielded
                .as_ref()
                .filter(|(_, at)| now.since(*at) < LINGER)
                .map(|(name, at)| (Arc::clone(name), waits && now.since(*at) >= TURN)),
        }
    }

    /// The answer to an ask that is left out: until when the lock is held, as far as is known.
    ///
    /// Asking is the safety net for holders that wake nobody and for wake-ups that got lost. The first in line asks every
    /// `retry.delay`; whoever stands r places behind it, every (r + 1)-th time: a thousand processes then ask no more often
    /// than eight, and the lock is still noticed as soon.
    pub(super) fn skips(&mut self, now: Moment, key: &str) -> Option<Answer> {
        let entry = self.entries.get_mut(key)?;
        let is_over = entry.held_until.is_some_and(|end| end <= now);
        if entry.patience == 0 || entry.is_woken || !entry.in_line || entry.hearing != Hearing::Yes || is_over
        {
            return None;
        }
        entry.patience -= 1;
        Some(Answer::Held { until: entry.held_until })
    }

    /// The server has told our place in line (0 for the first) and how long the lock is held.
    pub(super) fn ranked(&mut self, key: &str, rank: u32, until: Option<Moment>) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.patience = rank;
            entry.held_until = until;
        }
    }

    /// Who we may be in line as; a release gives up that place.
    pub(super) fn me(&self, key: &str) -> Option<Arc<str>> {
        self.entries.get(key).map(|entry| Arc::clone(&entry.me))
    }

    /// A save of somebody who waits has been answered: `Acquired`, put in line, or told that it is somebody else's turn.
    pub(super) fn answered(
        &mut self,
        now: Moment,
        key: &str,
        joined: bool,
        acquired: bool,
        yields: Option<&str>,
    ) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.in_line = joined && !acquired;
        entry.joining_since = None;
        entry.missed_turn &= !acquired;
        entry.last_sign = now;
        entry.patience = 0;
        entry.yielded = yields.map(|name| match entry.yielded.take() {
            Some((known, at)) if *known == *name && now.since(at) < LINGER => (known, at),
            _ => (Arc::from(name), now),
        });
    }

    /// A save of somebody who waits has failed.
    pub(super) fn unanswered(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.joining_since = None;
        }
    }

    /// A release has given up our place, and perhaps woken somebody else.
    pub(super) fn released(&mut self, now: Moment, key: &Key, has_woken: Option<&str>, channels: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.in_line = false;
            if let Some(name) = has_woken {
                entry.last_contended = now;
                entry.yielded = Some((Arc::from(name), now));
            }
        } else if let Some(name) = has_woken {
            self.open(now, key, channels);
            if let Some(entry) = self.entries.get_mut(key) {
                entry.yielded = Some((Arc::from(name), now));
            }
        }
    }

    /// Somebody begins to wait, or the last one has stopped.
    pub(super) fn watch(
        &mut self,
        now: Moment,
        key: &Key,
        waits: bool,
        channels: impl FnOnce() -> String,
    ) -> Option<Step> {
        if !self.entries.contains_key(key) {
            if !waits {
                return None;
            }
            self.open(now, key, &channels());
        }
        let can_hear = self.can_hear;
        let entry = self.entries.get_mut(key)?;
        entry.waits = waits;
        entry.last_contended = now;
        if !waits {
            // The place in line is kept for a while: perhaps somebody waits again at once.
            entry.yielded = None;
            return None;
        }
        if std::mem::take(&mut entry.missed_turn) {
            return Some(entry.wake(key));
        }
        if !can_hear {
            // Asked in turn, the server tells when the lease ends.
            return Some(Step::Wake(key.clone()));
        }
        match entry.hearing {
            Hearing::No => {
                entry.hearing = Hearing::Soon;
                Some(Step::Subscribe(key.clone()))
            }
            Hearing::Yes if !entry.in_line => Some(entry.wake(key)),
            Hearing::Soon | Hearing::Yes => None,
        }
    }

    /// Keys that somebody here waits for.
    pub(super) fn waited_for(&self) -> Vec<Key> {
        self.entries.iter().filter(|(_, entry)| entry.waits).map(|(key, _)| key.clone()).collect()
    }

    /// The key of a channel.
    pub(super) fn key_of(&self, channel: &str) -> Option<Key> {
        self.by_channel.get(channel).cloned()
    }

    /// The channel of a key.
    pub(super) fn channel(&self, key: &Key) -> Option<&str> {
        self.entries.get(key).map(|entry| entry.channel.as_str())
    }

    /// Time has passed: forgets what is no longer contended, and lets those who wait show that they are there.
    pub(super) fn tick(&mut self, now: Moment) -> Vec<Step> {
        let mut steps = Vec::new();
        let by_channel = &mut self.by_channel;
        self.entries.retain(|key, entry| {
            if entry.waits {
                if now.since(entry.last_sign) >= SIGN_OF_LIFE {
                    entry.last_sign = now;
                    entry.patience = 0;
                    steps.push(entry.wake(key));
                }
                return true;
            }
            let idle_for = now.since(entry.last_contended);
            let is_left_over = (entry.in_line && idle_for >= LEAVE_PAUSE) || entry.missed_turn;
            if is_left_over && !entry.is_joining(now) {
                steps.push(entry.leave(key));
            }
            if idle_for < LINGER || entry.hearing == Hearing::Soon || entry.leaving || entry.is_joining(now) {
                return true;
            }
            if entry.hearing == Hearing::Yes {
                steps.push(Step::Unsubscribe(key.clone(), entry.channel.clone()));
            }
            by_channel.remove(&entry.channel);
            false
        });
        steps
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn open(&mut self, now: Moment, key: &Key, channels: &str) {
        self.opened += 1;
        let me: Arc<str> = format!("{}-{}", self.process, self.opened).into();
        let channel = format!("{channels}{me}");
        self.by_channel.insert(channel.clone(), key.clone());
        self.entries.insert(
            key.clone(),
            Entry {
                me,
                channel,
                hearing: Hearing::No,
                waits: false,
                in_line: false,
                leaving: false,
                joining_since: None,
                missed_turn: false,
                is_woken: false,
                yielded: None,
                last_contended: now,
                last_sign: now,
                patience: 0,
                held_until: None,
            },
        );
    }
}

#[cfg(test)]
mod tests;
