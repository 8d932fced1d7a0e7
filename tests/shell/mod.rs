//! What the shells of the tests have in common: seeds, effects as commands, replies as events.
#![allow(dead_code)] // each test uses a part of it

use std::ops::Range;

use loquet::clock::Moment;
use loquet::engine::machine::{Machine, OpId};
use loquet::engine::{Effect, Effects};
use loquet::store::{Answer, Command, Reply, Save};

pub mod tokens;

/// The seeds to run: `LOQUET_SEED=n` alone, `LOQUET_SEEDS=n` of them, or as many as usual.
pub fn seeds(usual: u64) -> Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("LOQUET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LOQUET_SEEDS").unwrap_or(usual),
    }
}

/// Numbers drawn from one random number; small numbers give small draws, so that failures shrink.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, end: u64) -> u64 {
        let drawn = self.0 % end;
        self.0 /= end;
        drawn
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    pub fn any(&mut self) -> usize {
        usize::try_from(self.below(32)).unwrap()
    }
}

/// The command that an effect asks for; the effect itself if it asks for something else.
pub fn command_of(effect: Effect) -> Result<(OpId, Command), Effect> {
    Ok(match effect {
        Effect::Save { op, key, owner, ttl, fenced, waits, .. } => {
            (op, Command::Save { key, owner, ttl, fenced, waits })
        }
        Effect::Confirm { op, key, owner, fenced } => (op, Command::Confirm { key, owner, fenced }),
        Effect::HandOver { op, key, from, to, ttl, fenced, .. } => {
            (op, Command::HandOver { key, from, to, ttl, fenced })
        }
        Effect::Delete { op, key, holder } => (op, Command::Delete { key, holder }),
        other => return Err(other),
    })
}

/// Which event an answer is.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Saved,
    Confirmed,
    HandedOver,
    Deleted,
}

impl Event {
    /// For one of the commands that `command_of` makes.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Save { .. } => Self::Saved,
            Command::Confirm { .. } => Self::Confirmed,
            Command::HandOver { .. } => Self::HandedOver,
            Command::Delete { .. } => Self::Deleted,
            other => panic!("{other:?}"),
        }
    }

    /// Tells the machine.
    pub fn tell(self, machine: &mut Machine, now: Moment, op: OpId, reply: Reply, effects: &mut Effects) {
        let lease = |answer| match answer {
            Answer::Acquired(lease) => Some(lease),
            _ => None,
        };
        match self {
            Self::Saved => {
                let reply = reply.map(|answer| match answer {
                    Answer::Acquired(lease) => Save::Acquired(lease),
                    Answer::Held { until } => Save::Held { until },
                    other => panic!("{other:?}"),
                });
                machine.saved(now, op, reply, effects);
            }
            Self::Confirmed => machine.confirmed(now, op, reply.map(lease), effects),
            Self::HandedOver => machine.handed_over(now, op, reply.map(lease), effects),
            Self::Deleted => machine.deleted(now, op, reply.map(|answer| answer == Answer::Done), effects),
        }
    }
}
