//! What commands and their answers have to do with the lines.

use std::sync::Arc;

use super::super::request::Meaning;
use super::{Lines, Manner};
use crate::clock::Moment;
use crate::lease::Key;
use crate::store::{Answer, Command};

impl Lines {
    /// How a command is to be sent now, and for whose place in line.
    pub(in super::super) fn prepare(&mut self, now: Moment, command: &Command) -> (Manner, Option<Arc<str>>) {
        match command {
            Command::Save { key, waits, .. } => (self.manner(now, key.as_str(), *waits), None),
            Command::Delete { key, .. } | Command::ForceDelete { key } => {
                (Manner::Plain, self.me(key.as_str()))
            }
            _ => (Manner::Plain, None),
        }
    }

    /// The answer to a command that needn't be sent. To be asked for before it is prepared.
    pub(in super::super) fn skip(&mut self, now: Moment, command: &Command) -> Option<Answer> {
        match command {
            Command::Save { key, waits: true, .. } => self.skips(now, key.as_str()),
            _ => None,
        }
    }

    /// Somebody who waits has tried to acquire.
    pub(in super::super) fn tried(&mut self, now: Moment, key: &Key, manner: &Manner, meaning: &Meaning) {
        let key = key.as_str();
        let joined = matches!(manner, Manner::InTurn { joins: Some(_), .. });
        let acquired = matches!(meaning.answer, Answer::Acquired(_));
        self.answered(now, key, joined, acquired, meaning.yields.as_deref());
        if let Answer::Held { until } = meaning.answer {
            self.ranked(key, meaning.rank, until);
        }
    }
}
